// What every client of these tests looks at: a connected client, and how its SDK calls a tool → what it has seen.
export async function look(client, call, { elicits = true } = {}) {
  const steps = [];
  const text = async (name, args = {}, options = {}) => (await call({ name, arguments: args }, options)).content[0].text;
  return {
    tools: (await client.listTools()).tools.map((tool) => tool.name).sort(),
    counts: [await text("old_count"), await text("old_count")],
    work: await text("old_work", { steps: 3 }, { onprogress: (told) => steps.push(told.progress) }),
    steps,
    ...(elicits ? { paint: await text("old_paint") } : {}),
    think: await text("old_think"),
    prompt: (await client.getPrompt({ name: "old_greet", arguments: { whom: "Zoë" } })).messages[0].content.text,
    resource: (await client.readResource({ uri: "memo://fastmcp1/all" })).contents[0].text,
  };
}

export const colour = async () => ({ action: "accept", content: { colour: "blue" } });
export const answer = async () => ({ role: "assistant", model: "m", content: { type: "text", text: "42" } });
