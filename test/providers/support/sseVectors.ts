/**
 * The streams of the web-platform-tests of `EventSource` (folder `eventsource/`, by the name of the test), and the events that they
 * hold by the standard. What those tests do with ids and reconnection times is for those who connect again.
 */

export interface Vector {
  readonly stream: string
  /** Data, or name and data where it has a name. */
  readonly events: ReadonlyArray<string | readonly [event: string, data: string]>
  /** What the end of the stream completes here, where the standard throws it away. */
  readonly flushed?: string
}

const comment = "x".repeat(2048)

export const vectors: { readonly [name: string]: Vector } = {
  "event-data": {
    stream: "data:msg\ndata: msg\n\n:\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n",
    events: ["msg\nmsg", "", "end"]
  },
  "format-bom": { stream: "\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3\n\n\n", events: ["1", "3"] },
  "format-bom-2": { stream: "\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3\n\n\n", events: ["2", "3"] },
  "format-comments": {
    stream: `data:1\r:\0\n:\r\ndata:2\n:${comment}\rdata:3\n:data:fail\r:${comment}\ndata:4\n\n`,
    events: ["1\n2\n3\n4"]
  },
  "format-data-before-final-empty-line": {
    stream: "retry:1000\ndata:test1\n\nid:test\ndata:test2\n",
    events: ["test1"],
    flushed: "test2"
  },
  "format-field-data": { stream: "data:\n\ndata\ndata\n\ndata:test\n\n\n", events: ["", "\n", "test"] },
  "format-field-event": { stream: "event:test\ndata:x\n\ndata:x\n\n\n", events: [["test", "x"], "x"] },
  "format-field-event-empty": { stream: "event: \ndata:data\n\n\n", events: ["data"] },
  "format-field-id": { stream: "id: …\nretry: 200\ndata: hello\n\n", events: ["hello"] },
  "format-field-id-2": {
    stream: "id: …\nretry: 200\ndata: hello\n\ndata: …\n\nid: …\ndata: …\n\n",
    events: ["hello", "…", "…"]
  },
  "format-field-id-3": {
    stream: "id: 1\ndata: 1\n\ndata: 2\n\nid: 2\ndata:3\n\nid\ndata:4\n\nid:\ndata:5\n\n",
    events: ["1", "2", "3", "4", "5"]
  },
  "format-field-id-null": { stream: "id: \0\0\nretry: 200\ndata: hello\n\n", events: ["hello"] },
  "format-field-parsing": {
    stream:
      "data:\0\n data:2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
    events: ["\0\n1\n3\n\n4"]
  },
  "format-field-retry": { stream: "retry:03000\ndata:x\n\n\n", events: ["x"] },
  "format-field-retry-bogus": { stream: "retry:3000\nretry:1000x\ndata:x\n\n\n", events: ["x"] },
  "format-field-retry-empty": { stream: "retry\ndata:test\n\n\n", events: ["test"] },
  "format-field-unknown": {
    stream: "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n\n",
    events: ["test\n\ntest"]
  },
  "format-leading-space": { stream: "data:\ttest\rdata: \ndata:test\n\n\n", events: ["\ttest\n\ntest"] },
  // Which content type an answer has says nothing here; the standard reads the first of these three alone.
  "format-mime-trailing-semicolon": { stream: "data: data\n\n\n", events: ["data"] },
  "format-mime-bogus": { stream: "data: data\n\n\n", events: ["data"] },
  "format-mime-valid-bogus": { stream: "data: data\n\n\n", events: ["data"] },
  "format-newlines": { stream: "data:test\r\ndata\ndata:test\r\n\r\n", events: ["test\n\ntest"] },
  "format-null-character": { stream: "data:\0\n\n\n\n\n", events: ["\0"] },
  "format-utf-8": { stream: "data:ok…\n\n\n", events: ["ok…"] }
}
