//! A client on the official Rust SDK: PLAN URL TOKEN MODE → what it has seen, as JSON.

#![allow(deprecated)] // sampling and logging are, by the newest version of the protocol

use std::{
    collections::HashMap,
    env,
    error::Error,
    sync::{Arc, Mutex},
};

use rmcp_client::{
    model::*,
    service::{ClientLifecycleMode, ClientServiceExt, NotificationContext, RequestContext, RunningService, ServiceError},
    transport::{streamable_http_client::StreamableHttpClientTransportConfig, StreamableHttpClientTransport},
    ClientHandler, ErrorData, RoleClient,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

#[derive(Deserialize)]
struct Asked {
    name: String,
    arguments: JsonObject,
}

#[derive(Deserialize)]
struct Plan {
    level: Option<LoggingLevel>,
    calls: Vec<Asked>,
    prompts: Vec<Asked>,
    resources: Vec<String>,
}

/// What the server says by itself.
#[derive(Clone, Default)]
struct Notes {
    progress: Arc<Mutex<HashMap<String, Vec<Value>>>>,
    logs: Arc<Mutex<Vec<Value>>>,
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).expect("a model is JSON")
}

impl ClientHandler for Notes {
    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("42"), "m".into()))
    }

    async fn create_elicitation(&self, _: ElicitRequestParams, _: RequestContext<RoleClient>) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({"colour": "blue"})))
    }

    async fn on_progress(&self, told: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let token = value(&told.progress_token).to_string();
        self.progress.lock().unwrap().entry(token).or_default().push(value(told));
    }

    async fn on_logging_message(&self, told: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        self.logs.lock().unwrap().push(value(told));
    }

    fn get_info(&self) -> ClientConfig {
        let can = serde_json::from_value(json!({"sampling": {}, "elicitation": {}})).expect("capabilities");
        ClientConfig::new(can, Implementation::new("test", "1"))
    }
}

/// The result, or the error that the server answered with.
fn attempt<T: Serialize>(answer: Result<T, ServiceError>) -> Result<Value, ServiceError> {
    match answer {
        Ok(result) => Ok(value(result)),
        Err(ServiceError::McpError(error)) => Ok(json!({ "error": error })),
        Err(other) => Err(other),
    }
}

async fn look(client: &RunningService<RoleClient, Notes>, plan: Plan, notes: &Notes) -> Result<Value, ServiceError> {
    let version = client.peer_info().map(|info| value(&info.protocol_version));
    let modern = version.as_ref().and_then(Value::as_str) >= Some("2026");
    if let Some(level) = plan.level.filter(|_| !modern) {
        client.set_level(SetLevelRequestParams::new(level)).await?;
    }
    let (mut called, mut tokens) = (vec![], vec![]);
    for asked in plan.calls {
        let mut call = CallToolRequestParams::new(asked.name).with_arguments(asked.arguments);
        let token = ProgressToken(NumberOrString::Number(called.len() as i64));
        tokens.push(value(&token).to_string());
        call.set_progress_token(token);
        called.push(attempt(client.call_tool(call).await)?);
    }
    let (mut got, mut read) = (vec![], vec![]);
    for asked in plan.prompts {
        let prompt = GetPromptRequestParams::new(asked.name).with_arguments(asked.arguments);
        got.push(attempt(client.get_prompt(prompt).await)?);
    }
    for uri in plan.resources {
        read.push(attempt(client.read_resource(ReadResourceRequestParams::new(uri)).await)?);
    }
    let lists = json!({
        "tools": client.list_all_tools().await?,
        "prompts": client.list_all_prompts().await?,
        "resources": client.list_all_resources().await?,
        "templates": client.list_all_resource_templates().await?,
    });
    let mut heard = notes.progress.lock().unwrap();
    let progress: Vec<_> = tokens.iter().map(|token| heard.remove(token).unwrap_or_default()).collect();
    let mut seen = json!({"version": version, "called": called, "progress": progress, "got": got, "read": read, "logs": *notes.logs.lock().unwrap()});
    seen.as_object_mut().unwrap().extend(lists.as_object().unwrap().clone());
    Ok(seen)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [plan, url, token, mode] = arguments.try_into().expect("PLAN URL TOKEN MODE");
    let notes = Notes::default();
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let lifecycle = match mode.as_str() {
        "legacy" => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        },
    };
    let running = notes.clone().serve_with_lifecycle(transport, lifecycle).await?;
    let seen = look(&running, serde_json::from_str(&plan)?, &notes).await?;
    running.cancel().await?;
    println!("{seen}");
    Ok(())
}
