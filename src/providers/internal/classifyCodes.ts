/**
 * What the machine-readable codes, types and reasons of servers mean, in lower case. Codes that servers give to
 * failures of more than one kind (`invalid_request_error`, `api_error`, `server_error`, ...) are not here: there, the
 * status decides.
 */

/** What kind of failure it is: the tag of its error, but for one. */
export type Kind =
  | "AuthenticationFailed"
  | "PermissionDenied"
  | "ModelNotFound"
  | "ContextLengthExceeded"
  | "QuotaExhausted"
  | "RateLimited"
  | "Overloaded"
  | "ServerError"
  | "RequestTimeout"
  | "ContentFiltered"
  | "InvalidRequest"
  /** The model's own output was refused by its server: a call of a tool that does not fit, JSON that is none. */
  | "ModelErred"

const kinds: { readonly [Name in Kind]: ReadonlyArray<string> } = {
  AuthenticationFailed: [
    "invalid_api_key",
    "api_key_invalid",
    "incorrect_api_key",
    "authentication_error",
    "invalid_authentication",
    "unauthenticated",
    "unauthorized"
  ],
  PermissionDenied: [
    "permissiondenied",
    "permission_denied",
    "permission_error",
    "forbidden",
    "request_forbidden",
    "unsupported_country_region_territory",
    "consumer_suspended",
    "api_key_service_blocked",
    "model_terms_required",
    "data_residency_mismatch"
  ],
  ModelNotFound: [
    "model_not_found",
    "model_not_available",
    "model_decommissioned",
    "deploymentnotfound",
    "unknown_model",
    "invalid_model"
  ],
  ContextLengthExceeded: [
    "context_length_exceeded",
    "exceed_context_size_error",
    "too_many_prompt_tokens",
    "context_window_exceeded",
    "3051"
  ],
  QuotaExhausted: [
    "insufficient_quota",
    "billing_not_active",
    "billing_hard_limit_reached",
    "billing_error",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "enforced_spend_limit_reached",
    "openrouter_credits",
    "openrouter_free_tier_daily",
    "openrouter_key_limit",
    "1113"
  ],
  RateLimited: [
    "rate_limit_exceeded",
    "rate_limit_error",
    "ratelimitreached",
    "ratelimitexceeded",
    "too_many_requests",
    "model_rate_limit",
    "slow_down",
    "service_tier_capacity_exceeded",
    "token_quota_reached",
    "openrouter_in_flight_budget",
    "upstream_provider_shared_pool",
    "1300",
    "3505"
  ],
  Overloaded: [
    "server_is_overloaded",
    "overloaded_error",
    "engine_overloaded_error",
    "capacity_exceeded",
    "model_capacity_exhausted",
    "no_available_workers",
    "service_unavailable_error",
    "unavailable_error",
    "unavailable"
  ],
  ServerError: [],
  RequestTimeout: ["timeout_error", "request_timeout", "deadline_exceeded", "vector_store_timeout"],
  ContentFiltered: [
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "invalid_prompt",
    "bio_policy",
    "misalignment_policy_violation",
    "image_content_policy_violation"
  ],
  InvalidRequest: [
    "string_above_max_length",
    "unsupported_value",
    "unsupported_parameter",
    "unknown_parameter",
    "invalid_value",
    "invalid_type",
    "decimal_below_min_value",
    "decimal_above_max_value",
    "unsupported_file",
    "invalid_image_url",
    "invalid_image_format",
    "invalid_image",
    "invalid_image_mode",
    "invalid_base64_image",
    "image_too_large",
    "image_too_small",
    "image_file_too_large",
    "image_file_not_found",
    "image_parse_error",
    "empty_image_file",
    "failed_to_download_image",
    "unsupported_image_media_type",
    "invalid_encrypted_content",
    "previous_response_not_found",
    "invalid_function_parameters",
    "missing_required_parameter",
    "request_too_large",
    "not_supported_error",
    "extra_forbidden"
  ],
  ModelErred: ["tool_use_failed", "json_validate_failed", "output_parse_failed"]
}

const byCode = new Map<string, Kind>(
  Object.entries(kinds).flatMap(([kind, codes]) => codes.map((code) => [code, kind as Kind] as const))
)

/** What a code means, where it means one thing. */
export const kindOfCode = (code: string): Kind | undefined =>
  byCode.get(code) ??
    // OpenRouter's budgets of a key's workspace and guardrails: `openrouter_workspace_budget` and others to come.
    (/^openrouter_.*(?:workspace|guardrail|budget)/.test(code) ? "QuotaExhausted" : undefined)

/** What a status means when nothing more is known. */
export const kindOfStatus = (status: number): Kind => {
  switch (status) {
    case 401:
      return "AuthenticationFailed"
    case 402:
      return "QuotaExhausted"
    case 403:
      return "PermissionDenied"
    case 404:
    case 410:
      return "ModelNotFound"
    case 408:
    case 504:
    case 524:
      return "RequestTimeout"
    case 409:
    case 499:
      return "ServerError"
    case 429:
      return "RateLimited"
    case 498:
    case 503:
    case 529:
      return "Overloaded"
    case 501:
      return "InvalidRequest"
    default:
      return status >= 500 ? "ServerError" : "InvalidRequest"
  }
}
