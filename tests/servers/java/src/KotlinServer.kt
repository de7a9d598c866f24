import io.modelcontextprotocol.kotlin.sdk.server.Server
import io.modelcontextprotocol.kotlin.sdk.server.ServerOptions
import io.modelcontextprotocol.kotlin.sdk.server.StdioServerTransport
import io.modelcontextprotocol.kotlin.sdk.types.CallToolResult
import io.modelcontextprotocol.kotlin.sdk.types.Implementation
import io.modelcontextprotocol.kotlin.sdk.types.ServerCapabilities
import io.modelcontextprotocol.kotlin.sdk.types.TextContent
import io.modelcontextprotocol.kotlin.sdk.types.ToolSchema
import kotlinx.coroutines.Job
import kotlinx.coroutines.runBlocking
import kotlinx.io.asSink
import kotlinx.io.asSource
import kotlinx.io.buffered
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject

/** A server on the official Kotlin SDK: no runnable one is published. */
fun main() = runBlocking {
    val options = ServerOptions(ServerCapabilities(tools = ServerCapabilities.Tools(listChanged = true)))
    val server = Server(Implementation("kotlin-server", "1.0.0"), options)
    val text = ToolSchema(buildJsonObject { putJsonObject("text") { put("type", "string") } }, listOf("text"))
    server.addTool(name = "echo", description = "Returns its argument", inputSchema = text) { request ->
        CallToolResult(listOf(TextContent(request.arguments?.get("text")?.jsonPrimitive?.content ?: "")))
    }
    val end = Job()
    val session = server.createSession(StdioServerTransport(System.`in`.asSource().buffered(), System.out.asSink().buffered()))
    session.onClose { end.complete() }
    end.join()
}
