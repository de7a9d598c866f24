import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.McpSyncClient;
import io.modelcontextprotocol.client.transport.HttpClientSseClientTransport;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.client.transport.customizer.McpSyncHttpClientRequestCustomizer;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.spec.McpClientTransport;
import io.modelcontextprotocol.spec.McpError;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpSchema.ClientCapabilities;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.function.Supplier;

/** A client on the Java SDK: PLAN URL TOKEN → what it has seen, as JSON. */
class Client {
    record Call(String name, Map<String, Object> arguments) {}

    record Plan(McpSchema.LoggingLevel level, List<Call> calls, List<Call> prompts, List<String> resources) {}

    /** What the server says by itself, on other threads than the calls. */
    static final Map<Object, List<Object>> progress = new ConcurrentHashMap<>();

    static final List<Object> logs = new CopyOnWriteArrayList<>();

    public static void main(String[] arguments) throws Exception {
        var mapper = McpJsonDefaults.getMapper();
        var plan = mapper.readValue(arguments[0], Plan.class);
        var client = connect(arguments[1], arguments[2]);
        var seen = look(client, plan);
        client.closeGracefully();
        System.out.println(mapper.writeValueAsString(seen));
        System.exit(0);
    }

    static McpSyncClient connect(String url, String token) {
        return McpClient.sync(transport(URI.create(url), token))
            .requestTimeout(Duration.ofMinutes(3))
            .initializationTimeout(Duration.ofMinutes(3))
            .capabilities(ClientCapabilities.builder().sampling().elicitation().build())
            .sampling(asked -> McpSchema.CreateMessageResult.builder(McpSchema.Role.ASSISTANT, "42", "m").build())
            .elicitation(asked -> McpSchema.ElicitResult.builder(McpSchema.ElicitResult.Action.ACCEPT).content(Map.of("colour", "blue")).build())
            .progressConsumer(told -> progress.computeIfAbsent(told.progressToken(), token_ -> new CopyOnWriteArrayList<>()).add(told))
            .loggingConsumer(logs::add)
            .build();
    }

    static McpClientTransport transport(URI url, String token) {
        McpSyncHttpClientRequestCustomizer authorize =
            (request, method, endpoint, body, context) -> request.header("Authorization", "Bearer " + token);
        var base = url.resolve("/").toString();
        return url.getPath().endsWith("/sse")
            ? HttpClientSseClientTransport.builder(base).sseEndpoint(url.getPath()).addHttpRequestCustomizer(authorize).build()
            : HttpClientStreamableHttpTransport.builder(base).endpoint(url.getPath()).addHttpRequestCustomizer(authorize).build();
    }

    static Map<String, Object> look(McpSyncClient client, Plan plan) throws InterruptedException {
        var seen = new LinkedHashMap<String, Object>();
        seen.put("version", client.initialize().protocolVersion());
        if (plan.level() != null) client.setLoggingLevel(plan.level());
        var called = new ArrayList<Object>();
        for (var call : plan.calls()) {
            var request = McpSchema.CallToolRequest.builder(call.name()).arguments(call.arguments()).progressToken(called.size());
            called.add(attempt(() -> client.callTool(request.build())));
        }
        seen.put("called", called);
        seen.put("got", each(plan.prompts(), asked -> client.getPrompt(McpSchema.GetPromptRequest.builder(asked.name()).arguments(asked.arguments()).build())));
        seen.put("read", each(plan.resources(), uri -> client.readResource(McpSchema.ReadResourceRequest.builder(uri).build())));
        seen.put("tools", client.listTools().tools());
        seen.put("prompts", client.listPrompts().prompts());
        seen.put("resources", client.listResources().resources());
        seen.put("templates", client.listResourceTemplates().resourceTemplates());
        var steps = new ArrayList<Object>();
        for (var number = 0; number < called.size(); number++) steps.add(progress.getOrDefault(number, List.of()));
        seen.put("progress", steps);
        seen.put("logs", logs);
        return seen;
    }

    static <T> List<Object> each(List<T> asked, Function<T, Object> request) {
        return asked.stream().map(one -> attempt(() -> request.apply(one))).toList();
    }

    /** The result, or the error that the server answered with. */
    static Object attempt(Supplier<Object> request) {
        try {
            return request.get();
        } catch (McpError error) {
            return Map.of("error", error.getJsonRpcError() == null ? error.getMessage() : error.getJsonRpcError());
        }
    }
}
