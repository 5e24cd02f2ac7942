//! From a request to what is to be done. The table of docs/vmm-api.md, in code: what is not here is answered with 400.

use crate::config::{self, BootSource, Drive, Network, Vsock};
use crate::http::{Method, Request};
use crate::json::{self, required, Fields, Value};

#[derive(Debug, PartialEq)]
pub enum Action {
    Describe,
    Version,
    FullConfig,
    GetMachine,
    /// The body, and whether it is all of the configuration (PUT).
    SetMachine(Value, bool),
    SetBoot(BootSource),
    SetDrive(Drive),
    PatchDrive(String, Option<String>),
    SetNetwork(Network),
    SetVsock(Vsock),
    SetEntropy,
    Start,
    CtrlAltDel,
    Pause,
    Resume,
}

/// The action, or the message of the fault.
pub fn route(request: &Request) -> Result<Action, String> {
    let Request { method, path, body, .. } = request;
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let unknown = || {
        let first = parts.first().copied().unwrap_or_default();
        let first: String = first.chars().take(64).filter(|letter| !letter.is_control()).collect();
        format!("Invalid request method and/or path: {} {first}.", method.name())
    };
    if *method == Method::Get {
        if !body.is_empty() {
            return Err("GET request cannot have a body.".to_string());
        }
        return match parts[..] {
            [""] => Ok(Action::Describe),
            ["version"] => Ok(Action::Version),
            ["vm", "config"] => Ok(Action::FullConfig),
            ["machine-config"] => Ok(Action::GetMachine),
            _ => Err(unknown()),
        };
    }
    let put = *method == Method::Put;
    let read: fn(Value, &str) -> Result<Action, String> = match (put, &parts[..]) {
        (true, ["machine-config"]) => |body, _| Ok(Action::SetMachine(body, true)),
        (false, ["machine-config"]) => |body, _| Ok(Action::SetMachine(body, false)),
        (true, ["boot-source"]) => |body, _| BootSource::read(body).map(Action::SetBoot),
        (true, ["drives", _]) => |body, id| Drive::read(body, id).map(Action::SetDrive),
        (false, ["drives", _]) => {
            |body, id| config::read_drive_patch(body, id).map(|path| Action::PatchDrive(id.to_string(), path))
        }
        (true, ["network-interfaces", _]) => |body, id| Network::read(body, id).map(Action::SetNetwork),
        (true, ["vsock"]) => |body, _| Vsock::read(body).map(Action::SetVsock),
        (true, ["entropy"]) => |body, _| config::read_entropy(body).map(|()| Action::SetEntropy),
        (true, ["actions"]) => |body, _| action(body),
        (false, ["vm"]) => |body, _| state(body),
        _ => return Err(unknown()),
    };
    let id = parts.get(1).copied().unwrap_or_default();
    if parts.len() == 2 {
        config::check_id(id)?;
    }
    if body.is_empty() {
        return Err(format!("Empty {} request.", method.name()));
    }
    let body = json::parse(body).map_err(|why| deserializing(&why))?;
    read(body, id).map_err(|why| if why.ends_with(['.', '!']) { why } else { deserializing(&why) })
}

fn deserializing(why: &str) -> String {
    format!("An error occurred when deserializing the json body of a request: {why}.")
}

fn action(body: Value) -> Result<Action, String> {
    let mut fields = Fields::of(body)?;
    let chosen = fields.choice("action_type", &["InstanceStart", "SendCtrlAltDel"])?;
    fields.finish()?;
    Ok(if required(chosen, "action_type")? == 0 { Action::Start } else { Action::CtrlAltDel })
}

fn state(body: Value) -> Result<Action, String> {
    let mut fields = Fields::of(body)?;
    let chosen = fields.choice("state", &["Paused", "Resumed"])?;
    fields.finish()?;
    Ok(if required(chosen, "state")? == 0 { Action::Pause } else { Action::Resume })
}

/// The requests that the sections of a configuration file stand for, in the order in which they are made.
pub fn config_file(text: &[u8]) -> Result<Vec<Action>, String> {
    let mut fields = Fields::of(json::parse(text)?)?;
    let mut actions = Vec::new();
    if let Some(body) = fields.take("machine-config") {
        actions.push(Action::SetMachine(body, true));
    }
    let boot = required(fields.take("boot-source"), "boot-source")?;
    actions.push(Action::SetBoot(BootSource::read(boot)?));
    for body in list(fields.take("drives"), "drives")? {
        let id = id_of(&body, "drive_id")?;
        actions.push(Action::SetDrive(Drive::read(body, &id)?));
    }
    for body in list(fields.take("network-interfaces"), "network-interfaces")? {
        let id = id_of(&body, "iface_id")?;
        actions.push(Action::SetNetwork(Network::read(body, &id)?));
    }
    if let Some(body) = fields.take("vsock") {
        actions.push(Action::SetVsock(Vsock::read(body)?));
    }
    if let Some(body) = fields.take("entropy") {
        config::read_entropy(body)?;
        actions.push(Action::SetEntropy);
    }
    fields.finish()?;
    actions.push(Action::Start);
    Ok(actions)
}

fn list(value: Option<Value>, name: &str) -> Result<Vec<Value>, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(format!("invalid type: `{name}` is an array")),
    }
}

fn id_of(body: &Value, name: &str) -> Result<String, String> {
    let mut fields = Fields::of(body.clone())?;
    let id = required(fields.string(name)?, name)?;
    config::check_id(&id)?;
    Ok(id)
}
