// A client on the TypeScript SDK 1.12, of protocol version 2025-03-26, batches included: URL TOKEN → what it has seen, as JSON.
import { Client } from "@modelcontextprotocol/sdk-1.12/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk-1.12/client/streamableHttp.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk-1.12/client/sse.js";
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk-1.12/types.js";
import { answer, look } from "./look.mjs";

const [url, token] = process.argv.slice(2);
const client = new Client({ name: "test", version: "1" }, { capabilities: { sampling: {} } });
client.setRequestHandler(CreateMessageRequestSchema, answer);

const options = { requestInit: { headers: { Authorization: `Bearer ${token}` } } };
const transport = url.endsWith("/sse")
  ? new SSEClientTransport(new URL(url), options)
  : new StreamableHTTPClientTransport(new URL(url), options);
await client.connect(transport);

const found = await look(client, (asked, options) => client.callTool(asked, undefined, options), { elicits: false });

// The SDK has no call that makes a batch: its transport sends and reads them.
const messages = [
  { jsonrpc: "2.0", id: "b1", method: "tools/call", params: { name: "old_count", arguments: {} } },
  { jsonrpc: "2.0", method: "notifications/roots/list_changed" },
  { jsonrpc: "2.0", id: "b2", method: "tools/call", params: { name: "no_such" } },
  { jsonrpc: "2.0", id: "b3", method: "tools/call", params: { name: "old_work", arguments: { steps: 2 }, _meta: { progressToken: "t" } } },
];
const batch = {};
const all = new Promise((resolve) => {
  const others = transport.onmessage;
  transport.onmessage = (message, extra) => {
    if (message.method === "notifications/progress") (batch.progress ??= []).push(message.params.progress);
    else if (`${message.id}`.startsWith("b")) batch[message.id] = message.result?.content[0].text ?? message.error.code;
    else others(message, extra);
    if ("b1" in batch && "b2" in batch && "b3" in batch) resolve();
  };
});
await transport.send(messages);
await all;

await client.close();
console.log(JSON.stringify({ ...found, batch }));
