// A client on the TypeScript SDK, version 1: URL TOKEN → what it has seen, as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { CreateMessageRequestSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const [url, token] = process.argv.slice(2);
const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {}, sampling: {} } });
client.setRequestHandler(ElicitRequestSchema, async () => ({ action: "accept", content: { colour: "blue" } }));
client.setRequestHandler(CreateMessageRequestSchema, async () => ({ role: "assistant", model: "m", content: { type: "text", text: "42" } }));

const headers = { Authorization: `Bearer ${token}` };
const withHeaders = (input, init = {}) => {
  const all = new Headers(init.headers);
  all.set("Authorization", headers.Authorization);
  return fetch(input, { ...init, headers: all });
};
const transport = url.endsWith("/sse")
  ? new SSEClientTransport(new URL(url), { fetch: withHeaders })
  : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
await client.connect(transport);

const steps = [];
const text = async (name, args = {}, options = {}) =>
  (await client.callTool({ name, arguments: args }, undefined, options)).content[0].text;
const found = {
  version: transport.protocolVersion ?? "",
  tools: (await client.listTools()).tools.map((tool) => tool.name).sort(),
  counts: [await text("old_count"), await text("old_count")],
  work: await text("old_work", { steps: 3 }, { onprogress: (told) => steps.push(told.progress) }),
  steps,
  paint: await text("old_paint"),
  think: await text("old_think"),
  prompt: (await client.getPrompt({ name: "old_greet", arguments: { whom: "Zoë" } })).messages[0].content.text,
  resource: (await client.readResource({ uri: "memo://fastmcp1/all" })).contents[0].text,
};
await client.close();
console.log(JSON.stringify(found));
