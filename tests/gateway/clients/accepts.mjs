// Which lists the TypeScript SDKs accept: lines {"kind": …, "result": …} → lines with the refusals, an empty array for none.
import * as readline from "node:readline";
import * as core from "@modelcontextprotocol/core";
import * as v1 from "@modelcontextprotocol/sdk/types.js";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv";

const schemas = { tools: "ListToolsResultSchema", prompts: "ListPromptsResultSchema", resources: "ListResourcesResultSchema", resourceTemplates: "ListResourceTemplatesResultSchema" };
console.warn = console.error = () => {}; // the compiler warns of formats that it does not have
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { kind, result } = JSON.parse(line);
  const refusals = [];
  for (const [name, sdk] of Object.entries({ v1, v2: core })) {
    const parsed = sdk[schemas[kind]].safeParse(result);
    if (!parsed.success) refusals.push(...parsed.error.issues.map((issue) => `${name} ${issue.path.join(".")}: ${issue.message}`));
  }
  for (const tool of result.tools ?? []) {
    try {
      if (tool.outputSchema) new AjvJsonSchemaValidator().getValidator(tool.outputSchema);
    } catch (error) {
      refusals.push(`v1 outputSchema: ${error.message}`);
    }
  }
  process.stdout.write(JSON.stringify(refusals) + "\n");
}
