// The body of a function in a web page: @URL@ and @TOKEN@ of the gateway → what the page's origin may read.
const url = "@URL@", token = "@TOKEN@", seen = {};
const post = async (body, headers = {}) => fetch(url, {
  method: "POST",
  body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...body }),
  headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", Accept: "application/json, text/event-stream", ...headers },
});
const refused = (promise) => promise.then((answer) => answer.status, (error) => error.name);
const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "page", version: "1" } };

seen.wrongToken = await refused(post({ method: "ping" }, { Authorization: "Bearer wrong" }));
const opened = await refused(post({ method: "initialize", params })).then((status) => status === 200 && post({ method: "initialize", params }));
if (!opened) return { ...seen, opened };
const session = opened.headers.get("Mcp-Session-Id");
seen.session = typeof session;
const version = { "Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25" };
const called = await post({ method: "tools/call", params: { name: "web_echo", arguments: { text: "ü" } } }, version);
seen.called = JSON.parse((await called.json()).result.content[0].text);
const streamed = await post({ method: "tools/call", params: { name: "web_progress", arguments: {}, _meta: { progressToken: 1 } } }, version);
seen.streamed = [streamed.headers.get("Content-Type"), (await streamed.text()).includes("notifications/progress")];

const headers = { Authorization: `Bearer ${token}`, Accept: "text/event-stream", ...version, "Last-Event-ID": "" };
const listening = await fetch(url, { headers });
seen.listened = [listening.status, new TextDecoder().decode((await listening.body.getReader().read()).value)];
seen.ended = (await fetch(url, { method: "DELETE", headers })).status;

const denied = await fetch(url, { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } });
seen.challenge = [denied.status, denied.headers.get("WWW-Authenticate"), (await denied.json()).error.message.slice(0, 30)];

const meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} };
const modern = await post(
  { method: "tools/call", params: { name: "web_echo", arguments: {}, _meta: meta } },
  { "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "web_echo", "Mcp-Param-Region": "eu" },
);
seen.modern = (await modern.json()).result.resultType;
seen.oauth = (await (await fetch(new URL("/register", url), { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } })).json()).error;
return seen;
