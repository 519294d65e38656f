//! `nokv up` and `nokv serve`: the store and its server in one process.
//!
//! What it prints ends with a line that begins with `ready`: whoever started it waits for that
//! line. SIGINT and SIGTERM end it in order: what is in flight finishes, then the store closes.

use crate::arguments::StoreArguments;
use crate::error::Error;
use crate::output::{Output, Style, escape, insert_bytes};
use crate::session;
use nokv_client::{Client, ClientOptions, Create};
use nokv_env::Env;
use nokv_grpc::{GrpcOptions, GrpcServer};
use nokv_http::{HttpOptions, HttpServer};
use nokv_server::{ObjectsCheck, Server, ServerOptions, Service, StoreConfig};
use nokv_types::{Failure, Reason};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  nokv up                                     the default store, objects in a folder inside it
  nokv up --dir /data/store --listen 127.0.0.1:7070
  nokv up --grpc 127.0.0.1:7071               for other languages: docs/grpc.md
  nokv up --http 127.0.0.1:9101               /healthz /readyz /metrics /stats
  nokv up --objects s3://bucket/prefix --s3-endpoint http://127.0.0.1:9000
  nokv serve --quiet                          for a service manager: no welcome";

/// Arguments of `nokv up` and `nokv serve`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Listen on this loopback address too, beside the socket in the store's directory
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Serve gRPC on this loopback address, with reflection and health
    #[arg(long, value_name = "ADDR")]
    grpc: Vec<SocketAddr>,
    /// Serve health, readiness and metrics over HTTP on this loopback address
    #[arg(long, value_name = "ADDR")]
    http: Vec<SocketAddr>,
}

/// What is told when the server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Welcome {
    /// Where it listens and what to try next.
    Full,
    /// Where it listens.
    Brief,
}

/// Serves the store until a signal comes.
pub(crate) async fn run(
    arguments: Arguments,
    welcome: Welcome,
    store: &StoreArguments,
    output: &Output,
) -> Result<(), Error> {
    if store.server.is_some() {
        return Err(Error::Usage(
            "a server serves a store on this machine; give --dir".to_owned(),
        ));
    }
    let dir = session::store_dir(store)?;
    let config = StoreConfig {
        create: Create::IfMissing,
        objects: session::objects(store)?,
        objects_check: ObjectsCheck::Probe,
        ..StoreConfig::new(dir)
    };
    // Before the store is open: a signal that comes early must not cut it off.
    let mut signals = Signals::new()?;
    let service = Service::open(Env::real(), config).await?;
    let doors = match Doors::open(&service, arguments).await {
        Ok(doors) => doors,
        Err(failure) => {
            service.close().await?;
            return Err(failure.into());
        }
    };
    let client = Client::embedded(service.clone(), ClientOptions::default());
    let objects_url = client.status().await?.objects_url;
    let listening = Listening {
        service: &service,
        doors: &doors,
        store,
        objects_url,
    };
    // A supervisor that does not read what is printed is no reason to stop.
    match listening.tell(welcome, output) {
        Err(Error::Closed) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    signals.next().await;
    output.note("stopping")?;
    Ok(doors.close().await?)
}

/// Everything that listens.
struct Doors {
    server: Server,
    grpc: GrpcServer,
    http: HttpServer,
}

impl Doors {
    async fn open(service: &Service, arguments: Arguments) -> Result<Self, Failure> {
        let options = GrpcOptions {
            listen: arguments.grpc,
            ..GrpcOptions::default()
        };
        let grpc = GrpcServer::start(service.clone(), options).await?;
        let options = HttpOptions {
            listen: arguments.http,
        };
        let http = HttpServer::start(service.clone(), options).await?;
        let options = ServerOptions {
            listen: arguments.listen,
            ..ServerOptions::default()
        };
        let server = Server::start(service.clone(), options).await?;
        Ok(Self { server, grpc, http })
    }

    /// Stops listening, lets what is in flight end, closes the store.
    async fn close(self) -> Result<(), Failure> {
        self.grpc.stop().await;
        self.http.stop().await;
        self.server.stop().await
    }
}

/// The signals that end a server.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::new(Reason::Io, format!("cannot listen to signals: {error}"))
            })
        };
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self {
            interrupt: listen(interrupt)?,
            terminate: listen(terminate)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A server that listens, and how it was asked for.
struct Listening<'a> {
    service: &'a Service,
    doors: &'a Doors,
    store: &'a StoreArguments,
    objects_url: String,
}

impl Listening<'_> {
    fn tell(&self, welcome: Welcome, output: &Output) -> Result<(), Error> {
        if output.is_json() {
            output.json(self.to_json())?;
            return output.flush();
        }
        let dir = escape(self.service.dir().as_os_str().as_bytes());
        output.line(output.styled(Style::Bold, format!("NoKV serves {dir}").as_bytes()))?;
        let line = |label: &str, value: String| {
            let label = format!("{label:>9}");
            output.raw(output.styled(Style::Dim, label.as_bytes()))?;
            output.line(format!(" {value}"))
        };
        line(
            "socket",
            escape(self.doors.server.socket().as_os_str().as_bytes()),
        )?;
        for address in self.doors.server.addresses() {
            line("tcp", address.to_string())?;
        }
        for address in self.doors.grpc.addresses() {
            line("grpc", address.to_string())?;
        }
        for address in self.doors.http.addresses() {
            line("http", format!("http://{address}"))?;
        }
        line("objects", self.objects_url.clone())?;
        if welcome == Welcome::Full && !output.is_quiet() {
            output.line("\nIn another terminal:")?;
            for command in next_commands(&program(), &self.store_option()) {
                output.line(format!("  {command}"))?;
            }
            output.line("")?;
        }
        output.line("ready; Ctrl-C stops it")?;
        output.flush()
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("ready".to_owned(), true.into());
        insert_bytes(
            &mut object,
            "dir",
            self.service.dir().as_os_str().as_bytes(),
        );
        insert_bytes(
            &mut object,
            "socket",
            self.doors.server.socket().as_os_str().as_bytes(),
        );
        let addresses = self
            .doors
            .server
            .addresses()
            .iter()
            .map(ToString::to_string);
        object.insert("addresses".to_owned(), addresses.collect());
        let addresses = self.doors.grpc.addresses().iter().map(ToString::to_string);
        object.insert("grpc_addresses".to_owned(), addresses.collect());
        let addresses = self.doors.http.addresses().iter().map(ToString::to_string);
        object.insert("http_addresses".to_owned(), addresses.collect());
        object.insert("objects".to_owned(), self.objects_url.clone().into());
        object.insert("process_id".to_owned(), std::process::id().into());
        object
    }

    /// The option that leads other commands to this store; empty when they find it by themselves.
    fn store_option(&self) -> String {
        match &self.store.dir {
            Some(dir) if std::env::var_os("NOKV_DIR").as_deref() != Some(dir.as_os_str()) => {
                format!(" --dir {}", shell_word(dir))
            }
            _ => String::new(),
        }
    }
}

/// Three commands that work as they stand, in a shell, right now.
fn next_commands(program: &str, store: &str) -> [String; 3] {
    [
        format!("echo 'hello, world' | {program}{store} put - /hello.txt"),
        format!("{program}{store} ls -l /"),
        format!("{program}{store} cat /hello.txt"),
    ]
}

/// The program as it was called.
fn program() -> String {
    let called = std::env::args_os().next();
    called.map_or_else(
        || "nokv".to_owned(),
        |called| shell_word(Path::new(&called)),
    )
}

/// A path as a word of a shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::shell_word;
    use std::path::Path;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(shell_word(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell_word(Path::new("it's here")), r"'it'\''s here'");
    }
}
