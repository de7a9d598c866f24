// What every client of these tests looks at: a connected client, the plan, and how its SDK calls a tool → what it has seen.
const attempt = (request) => request.catch(({ code, message, data }) => ({ error: { code, message, data } }));

export async function look(client, plan, logs, call) {
  if (plan.level) await client.setLoggingLevel(plan.level);
  const [called, progress] = [[], []];
  for (const asked of plan.calls) {
    const steps = [];
    progress.push(steps);
    called.push(await attempt(call(asked, { onprogress: (told) => steps.push(told) })));
  }
  const [got, read] = [[], []];
  for (const asked of plan.prompts) got.push(await attempt(client.getPrompt(asked)));
  for (const uri of plan.resources) read.push(await attempt(client.readResource({ uri })));
  const { tools } = await client.listTools();
  const { prompts } = await client.listPrompts();
  const { resources } = await client.listResources();
  const { resourceTemplates } = await client.listResourceTemplates();
  return { tools, prompts, resources, templates: resourceTemplates, called, progress, got, read, logs };
}

export const colour = async () => ({ action: "accept", content: { colour: "blue" } });
export const answer = async () => ({ role: "assistant", model: "m", content: { type: "text", text: "42" } });
