// A client on the TypeScript SDK 1.12, of protocol version 2025-03-26: PLAN URL TOKEN → what it has seen, as JSON.
import { Client } from "@modelcontextprotocol/sdk-1.12/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk-1.12/client/streamableHttp.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk-1.12/client/sse.js";
import { CreateMessageRequestSchema, LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk-1.12/types.js";
import { answer, look } from "./look.mjs";

const [encoded, url, token] = process.argv.slice(2);
const plan = JSON.parse(encoded);
const client = new Client({ name: "test", version: "1" }, { capabilities: { sampling: {} } });
client.setRequestHandler(CreateMessageRequestSchema, answer);
const logs = [];
client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logs.push(params));

const options = { requestInit: { headers: { Authorization: `Bearer ${token}` } } };
const transport = url.endsWith("/sse")
  ? new SSEClientTransport(new URL(url), options)
  : new StreamableHTTPClientTransport(new URL(url), options);
await client.connect(transport);

const seen = await look(client, plan, logs, (asked, options) => client.callTool(asked, undefined, options));
const batch = plan.batch.length ? await together(plan.batch) : {};
await client.close();
console.log(JSON.stringify({ version: "2025-03-26", ...seen, batch }));

// The SDK has no call that makes a batch: its transport sends and reads them.
async function together(messages) {
  const found = {};
  const wanted = messages.filter((message) => "id" in message).length;
  const all = new Promise((resolve) => {
    const others = transport.onmessage;
    transport.onmessage = (message, extra) => {
      if (message.method === "notifications/progress") (found.progress ??= []).push(message.params.progress);
      else if (`${message.id}`.startsWith("b")) found[message.id] = message.result?.content[0].text ?? message.error.code;
      else others(message, extra);
      if (Object.keys(found).filter((id) => id.startsWith("b")).length === wanted) resolve();
    };
  });
  await transport.send(messages);
  await all;
  return found;
}
