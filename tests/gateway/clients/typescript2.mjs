// A client on the TypeScript SDK, version 2: URL TOKEN → what it has seen, as JSON.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, token, mode] = process.argv.slice(2);
const options = { capabilities: { elicitation: { form: {} }, sampling: {} }, ...(mode ? { versionNegotiation: { mode } } : {}) };
const client = new Client({ name: "test", version: "1" }, options);
client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { colour: "blue" } }));
client.setRequestHandler("sampling/createMessage", async () => ({ role: "assistant", model: "m", content: { type: "text", text: "42" } }));
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
await client.connect(transport);

const steps = [];
const text = async (name, args = {}, options = {}) => (await client.callTool({ name, arguments: args }, options)).content[0].text;
const found = {
  version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "",
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
