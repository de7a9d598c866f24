import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.McpServerFeatures.SyncPromptSpecification;
import io.modelcontextprotocol.server.transport.StdioServerTransportProvider;
import io.modelcontextprotocol.spec.McpSchema.CallToolResult;
import io.modelcontextprotocol.spec.McpSchema.GetPromptResult;
import io.modelcontextprotocol.spec.McpSchema.Prompt;
import io.modelcontextprotocol.spec.McpSchema.ServerCapabilities;
import io.modelcontextprotocol.spec.McpSchema.Tool;
import java.util.List;
import java.util.Map;

/** A server on the official Java SDK: no runnable one is published. */
public class JavaServer {
  public static void main(String[] arguments) {
    Map<String, Object> text = Map.of("type", "object", "properties", Map.of("text", Map.of("type", "string")), "required", List.of("text"));
    Tool echo = Tool.builder("echo", text).title("Echo").description("Returns its argument").build();
    McpServer.sync(new StdioServerTransportProvider(McpJsonDefaults.getMapper()))
        .serverInfo("java-server", "1.0.0")
        .capabilities(ServerCapabilities.builder().tools(true).prompts(false).build())
        .toolCall(echo, (exchange, call) -> CallToolResult.builder().addTextContent((String) call.arguments().get("text")).build())
        .prompts(new SyncPromptSpecification(Prompt.builder("greet").description("Greets").build(),
            (exchange, prompt) -> GetPromptResult.builder(List.of()).description("Greets nobody").build()))
        .build();
  }
}
