//! A service over a machine in memory: creation, crashes, failing disks, panics.

use super::{Caller, Service};
use crate::{Create, ObjectsConfig, StoreConfig};
use nokv_env::{
    Env, FaultFileSystem, FileSystem, MemoryFileSystem, OpenMode, Operation, Outcome, Rule, Trigger,
};
use nokv_proto::failure_from_wire;
use nokv_proto::v1::{self, request::Method, response::Result as Answer};
use nokv_types::{Failure, Reason};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";

fn config(create: Create) -> StoreConfig {
    StoreConfig {
        create,
        objects: ObjectsConfig {
            url: Some("memory:".to_owned()),
            ..ObjectsConfig::default()
        },
        maintenance_ms: None,
        ..StoreConfig::new(DIR.into())
    }
}

async fn open(env: &Env, create: Create) -> Result<Service, Failure> {
    Service::open(env.clone(), config(create)).await
}

async fn refusal(env: &Env, create: Create) -> Failure {
    open(env, create).await.err().expect("refused")
}

async fn call(service: &Service, method: Method) -> Result<Answer, Failure> {
    let request = v1::Request {
        deadline_ms: 0,
        method: Some(method),
    };
    match service
        .call(request, &Caller::Embedded)
        .await
        .result
        .expect("an answer")
    {
        Answer::Failure(failure) => Err(failure_from_wire(&failure)),
        answer => Ok(answer),
    }
}

async fn make_dir(service: &Service, path: &str) -> Result<Answer, Failure> {
    let place = v1::place::Place::Path(path.to_owned().into());
    let ask = v1::MakeDirRequest {
        place: Some(v1::Place { place: Some(place) }),
        mode: 0o755,
        ..v1::MakeDirRequest::default()
    };
    call(service, Method::MakeDir(ask)).await
}

async fn lookup(service: &Service, path: &str) -> Result<Answer, Failure> {
    let target = v1::target::Target::Path(path.to_owned().into());
    let target = Some(v1::Target {
        target: Some(target),
    });
    call(
        service,
        Method::Lookup(v1::LookupRequest {
            target,
            ..v1::LookupRequest::default()
        }),
    )
    .await
}

fn put_file(env: &Env, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    env.files
        .create_dir_all(path.parent().expect("below the root"))
        .expect("made");
    let file = env.files.open(path, OpenMode::Create).expect("opened");
    file.write_at(bytes, 0).expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_created_only_as_told() {
    let env = Env::memory(1);
    assert_eq!(
        refusal(&env, Create::Never).await.reason(),
        Reason::NotFound
    );
    let service = open(&env, Create::New).await.expect("created");
    assert_eq!(
        refusal(&env, Create::IfMissing).await.reason(),
        Reason::Busy
    );
    let id = service.store_id();
    service.close().await.expect("closed");
    assert_eq!(
        refusal(&env, Create::New).await.reason(),
        Reason::AlreadyExists
    );
    for create in [Create::Never, Create::IfMissing] {
        let again = open(&env, create).await.expect("opened");
        assert_eq!(again.store_id(), id);
        again.close().await.expect("closed");
        let late = make_dir(&again, "/d").await.expect_err("closed");
        assert_eq!(late.reason(), Reason::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_not_created_among_other_things_nor_opened_from_damage() {
    let env = Env::memory(2);
    put_file(&env, "/store/thesis.tex", b"ten years of work");
    let failure = refusal(&env, Create::IfMissing).await;
    assert_eq!(failure.reason(), Reason::InvalidArgument);
    assert!(failure.message().contains("thesis.tex"), "{failure}");
    let id = "0".repeat(32);
    for (text, reason) in [
        ("format_version = 1".to_owned(), Reason::Corrupt),
        ("\u{0}".to_owned(), Reason::Corrupt),
        (
            "format_version = 1\nstore_id = \"xyz\"".to_owned(),
            Reason::Corrupt,
        ),
        (
            format!("format_version = 99\nstore_id = \"{id}\""),
            Reason::Unsupported,
        ),
        (
            format!("format_version = 1\nstore_id = \"{id}\"\nsecret = 1"),
            Reason::Corrupt,
        ),
    ] {
        put_file(&env, "/store/nokv.toml", text.as_bytes());
        let file = env
            .files
            .open(Path::new("/store/nokv.toml"), OpenMode::ReadWrite);
        file.expect("opened")
            .set_len(text.len() as u64)
            .expect("cut");
        let failure = refusal(&env, Create::IfMissing).await;
        assert_eq!(failure.reason(), reason, "{text}");
        assert!(failure.message().contains("nokv.toml"), "{failure}");
    }
}

/// Makes directories from several tasks on a machine that may lie about syncs; cuts power; counts
/// what was acknowledged and is gone.
async fn lost_after_power_cut(seed: u64, lies: bool) -> usize {
    let memory = Arc::new(MemoryFileSystem::new());
    let faults = Arc::new(FaultFileSystem::new(
        Arc::clone(&memory) as Arc<dyn FileSystem>,
        seed,
    ));
    let env = Env::memory(seed).with_files(Arc::clone(&faults) as Arc<dyn FileSystem>);
    let service = open(&env, Create::IfMissing).await.expect("created");
    if lies {
        faults.add_rule(Rule {
            operations: Operation::ALL.to_vec(),
            path_contains: String::new(),
            trigger: Trigger::From(1),
            outcome: Outcome::LostSync,
        });
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let service = service.clone();
        tasks.spawn(async move {
            for index in 0..10 {
                make_dir(&service, &format!("/{task}-{index}"))
                    .await
                    .expect("made");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    let after = Env::memory(seed).with_files(Arc::new(memory.crash(seed)));
    let service = match open(&after, Create::Never).await {
        Ok(service) => service,
        // The log itself notices the lie.
        Err(failure) if lies && failure.reason() == Reason::Corrupt => return 1,
        Err(failure) => panic!("seed {seed}: {failure}"),
    };
    let mut lost = 0;
    for task in 0..8 {
        for index in 0..10 {
            lost += usize::from(lookup(&service, &format!("/{task}-{index}")).await.is_err());
        }
    }
    service.close().await.expect("closed");
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut_and_a_lying_disk_is_noticed() {
    for seed in 0..5 {
        assert_eq!(lost_after_power_cut(seed, false).await, 0, "seed {seed}");
    }
    let mut lost = 0;
    for seed in 0..5 {
        lost += lost_after_power_cut(seed, true).await;
    }
    assert!(lost > 0, "the test would not see a missing sync");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creation_that_is_interrupted_anywhere_can_be_repeated() {
    for step in 1..60 {
        let memory = Arc::new(MemoryFileSystem::new());
        let faults = FaultFileSystem::new(Arc::clone(&memory) as Arc<dyn FileSystem>, step);
        faults.add_rule(Rule {
            operations: Vec::new(),
            path_contains: String::new(),
            trigger: Trigger::Nth(step),
            outcome: Outcome::Crash,
        });
        let env = Env::memory(step).with_files(Arc::new(faults));
        drop(open(&env, Create::IfMissing).await);
        let after = Env::memory(step).with_files(Arc::new(memory.crash(step)));
        let service = open(&after, Create::IfMissing).await;
        let service = service.unwrap_or_else(|failure| panic!("step {step}: {failure}"));
        make_dir(&service, "/d").await.expect("works");
        service.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_is_not_acknowledged() {
    let memory: Arc<dyn FileSystem> = Arc::new(MemoryFileSystem::new());
    let faults = Arc::new(FaultFileSystem::new(memory, 3));
    let env = Env::memory(3).with_files(Arc::clone(&faults) as Arc<dyn FileSystem>);
    let service = open(&env, Create::IfMissing).await.expect("created");
    make_dir(&service, "/before").await.expect("made");
    faults.add_rule(Rule {
        operations: vec![Operation::SyncData, Operation::SyncAll],
        path_contains: String::new(),
        trigger: Trigger::From(1),
        outcome: Outcome::DeviceError,
    });
    let failure = make_dir(&service, "/after")
        .await
        .expect_err("not acknowledged");
    assert_eq!(failure.reason(), Reason::OutcomeUnknown);
    lookup(&service, "/before").await.expect("reads go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_late_or_unknown_is_told_so() {
    let env = Env::memory(4);
    let service = open(&env, Create::IfMissing).await.expect("created");
    let nothing = service
        .call(v1::Request::default(), &Caller::Embedded)
        .await;
    let Some(Answer::Failure(failure)) = nothing.result else {
        panic!("an answer to nothing")
    };
    assert_eq!(failure_from_wire(&failure).reason(), Reason::Unsupported);
    let method = Some(Method::Status(v1::StatusRequest::default()));
    let arrived = service
        .arrive(v1::Request {
            deadline_ms: 5,
            method,
        })
        .expect("known");
    env.clock.sleep(std::time::Duration::from_millis(5));
    let late = service
        .finish(service.run_now(arrived, &Caller::Embedded))
        .await;
    let Some(Answer::Failure(failure)) = late.result else {
        panic!("answered too late")
    };
    assert_eq!(
        failure_from_wire(&failure).reason(),
        Reason::DeadlineExceeded
    );
    service.close().await.expect("closed");
}

#[test]
fn a_handler_that_panics_fails_alone() {
    let result = super::call::guarded(&Caller::Embedded, || panic!("a bug"));
    assert_eq!(result.expect_err("failed").reason(), Reason::Io);
}
