//! One peer: frames in, answers out.
//!
//! One task owns the socket. Short requests are answered on it, with no other task between the read
//! and the write; the others run beside it and come back through a channel. All changes that one
//! read brought wait for one sync.
//!
//! Invariants:
//! - at most [`IN_FLIGHT_MAX`] requests are in flight and [`OUT_BYTES_FULL`] plus one answer wait
//!   for the reader; beyond it nothing more is read;
//! - large frames and answers hold a share of the server's budget;
//! - every request that was read is answered once, unless the peer is gone.

use super::budget::{Budget, Share};
use super::limits::{
    IN_FLIGHT_MAX, LARGE_BYTES, OUT_BYTES_FULL, PREFACE_MAX, READ_BYTES_MAX, READ_BYTES_MIN,
    STALL_MAX,
};
use crate::service::{Applied, Caller, Lane, Service};
use bytes::{Buf, BytesMut};
use nokv_proto::{
    Frame, FrameError, PREFACE, decode_frame, decode_message, encode_frame, missing_bytes, v1,
};
use nokv_types::{Failure, Reason};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, watch};

/// Answers that ended together, and the memory that they hold.
struct Finished {
    responses: Vec<(u64, v1::Response)>,
    share: Option<Share>,
}

/// What happened next.
enum Event {
    Finished(Finished),
    Wrote,
    Read(usize),
    GotShare(Option<Share>),
}

type ShareWait = Pin<Box<dyn Future<Output = Option<Share>> + Send>>;

/// A connection being served.
pub(super) struct Connection<S> {
    stream: S,
    service: Service,
    caller: Caller,
    budget: Budget,
    input: BytesMut,
    read_bytes: usize,
    /// The share of the large frame that is being read.
    input_share: Option<Share>,
    share_wait: Option<ShareWait>,
    output: BytesMut,
    /// The shares of what is in `output`.
    output_shares: Vec<Share>,
    in_flight: usize,
    sender: mpsc::UnboundedSender<Finished>,
    receiver: mpsc::UnboundedReceiver<Finished>,
    is_ending: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, service: Service, caller: Caller, budget: Budget) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            stream,
            service,
            caller,
            budget,
            input: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            input_share: None,
            share_wait: None,
            output: BytesMut::new(),
            output_shares: Vec::new(),
            in_flight: 0,
            sender,
            receiver,
            is_ending: false,
        }
    }

    /// Serves until the peer goes, breaks the protocol or stalls, or until `stop` says so and what
    /// is in flight is answered.
    pub(super) async fn serve(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let is_greeted = tokio::select! {
            _ = stop.changed() => return Ok(()),
            greeted = tokio::time::timeout(PREFACE_MAX, self.greet()) => {
                greeted.unwrap_or_else(|_| Err(stalled("to say what it speaks")))?
            }
        };
        if !is_greeted {
            return Ok(());
        }
        self.handle_input();
        loop {
            if self.is_ending && self.in_flight == 0 && self.output.is_empty() {
                return Ok(());
            }
            let event = tokio::select! {
                biased;
                event = self.next_event_in_time() => event?,
                _ = stop.changed(), if !self.is_ending => {
                    self.is_ending = true;
                    continue;
                }
            };
            match event {
                Event::Finished(finished) => self.take_finished(finished),
                Event::Wrote => {}
                Event::Read(0) => {
                    // The peer sends no more: what it asked for is done, and answered if it still
                    // reads.
                    self.is_ending = true;
                }
                Event::Read(_) => self.handle_input(),
                Event::GotShare(share) => {
                    self.share_wait = None;
                    self.input_share = share;
                }
            }
        }
    }

    /// Exchanges prefaces; whether to go on.
    async fn greet(&mut self) -> io::Result<bool> {
        self.output.extend_from_slice(&PREFACE);
        while self.input.len() < PREFACE.len() || !self.output.is_empty() {
            if let Event::Read(0) = self.next_event().await? {
                return Ok(false);
            }
        }
        let Some((theirs, _)) = self.input.split_first_chunk::<8>() else {
            return Ok(false);
        };
        let is_known = *theirs == PREFACE;
        self.input.advance(PREFACE.len());
        if !is_known {
            tracing::debug!(caller = ?self.caller, "a peer speaks another protocol or version");
        }
        Ok(is_known)
    }

    /// The next event, or an error when the peer is in the middle of something for too long.
    async fn next_event_in_time(&mut self) -> io::Result<Event> {
        let is_owing = !self.output.is_empty()
            || (!self.input.is_empty() && self.in_flight == 0 && self.share_wait.is_none());
        if !is_owing {
            return self.next_event().await;
        }
        let event = tokio::time::timeout(STALL_MAX, self.next_event()).await;
        event.unwrap_or_else(|_| Err(stalled("in the middle of a frame")))
    }

    async fn next_event(&mut self) -> io::Result<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Event>> {
        if self.output.len() < OUT_BYTES_FULL
            && let Poll::Ready(Some(finished)) = self.receiver.poll_recv(context)
        {
            return Poll::Ready(Ok(Event::Finished(finished)));
        }
        if !self.output.is_empty()
            && let Poll::Ready(count) = pin!(&mut self.stream).poll_write(context, &self.output)
        {
            return Poll::Ready(count.and_then(|count| self.wrote(count)));
        }
        if let Some(wait) = &mut self.share_wait {
            if let Poll::Ready(share) = wait.as_mut().poll(context) {
                return Poll::Ready(Ok(Event::GotShare(share)));
            }
        } else if self.may_read() {
            return self.poll_read(context).map_ok(Event::Read);
        }
        Poll::Pending
    }

    fn may_read(&self) -> bool {
        !self.is_ending && self.in_flight < IN_FLIGHT_MAX && self.output.len() < OUT_BYTES_FULL
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(self.read_bytes);
        let room = self.input.capacity() - self.input.len();
        let polled = pin!(self.stream.read_buf(&mut self.input)).poll(context);
        match polled {
            Poll::Ready(Ok(count)) => {
                let wanted = if count == room { count * 2 } else { count };
                self.read_bytes = wanted.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending if self.input.is_empty() && room > READ_BYTES_MIN => {
                // An idle connection keeps no large buffer.
                self.input = BytesMut::new();
                self.read_bytes = READ_BYTES_MIN;
            }
            Poll::Pending => {}
        }
        polled
    }

    fn wrote(&mut self, count: usize) -> io::Result<Event> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.output.advance(count);
        if self.output.is_empty() {
            self.output_shares.clear();
            if self.output.capacity() > READ_BYTES_MAX {
                self.output = BytesMut::new();
            }
        }
        Ok(Event::Wrote)
    }

    fn take_finished(&mut self, finished: Finished) {
        self.in_flight = self.in_flight.saturating_sub(finished.responses.len());
        self.output_shares.extend(finished.share);
        for (id, response) in finished.responses {
            self.answer(id, &response);
        }
        self.handle_input();
    }

    fn answer(&mut self, id: u64, response: &v1::Response) {
        if let Err(error) = encode_frame(id, response, &mut self.output) {
            let failure = Failure::new(Reason::TooLarge, format!("answer: {error}"));
            encode_frame(id, &v1::Response::from(failure), &mut self.output)
                .expect("a failure is a few hundred bytes");
        }
    }

    /// Works on the whole frames that have been read, as far as the limits allow.
    fn handle_input(&mut self) {
        let mut applied = Vec::new();
        while self.may_read() && self.share_wait.is_none() {
            match decode_frame(&mut self.input) {
                Ok(Some(frame)) => self.handle_frame(frame, &mut applied),
                Ok(None) => {
                    self.want_share();
                    break;
                }
                Err(error) => {
                    self.refuse(error);
                    break;
                }
            }
        }
        self.finish_together(applied);
    }

    fn handle_frame(&mut self, frame: Frame, applied: &mut Vec<(u64, Box<Applied>)>) {
        let share = self.input_share.take();
        let arrived = decode_message::<v1::Request>(frame.message)
            .and_then(|request| self.service.arrive(request));
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(failure) => return self.answer(frame.id, &failure.into()),
        };
        if arrived.lane() != Lane::Inline {
            let weight = if share.is_none() {
                arrived.weight_bytes()
            } else {
                0
            };
            let (service, caller) = (self.service.clone(), self.caller.clone());
            let (budget, sender) = (self.budget.clone(), self.sender.clone());
            self.in_flight += 1;
            tokio::spawn(async move {
                let share = match share {
                    Some(share) => Some(share),
                    None => budget.share(weight).await,
                };
                let response = service.run_later(arrived, caller).await;
                // The connection may have gone; nobody waits for the answer then.
                drop(sender.send(Finished {
                    responses: vec![(frame.id, response)],
                    share,
                }));
            });
            return;
        }
        match self.service.run_now(arrived, &self.caller).into_response() {
            Ok(response) => self.answer(frame.id, &response),
            Err(unsynced) => {
                self.in_flight += 1;
                applied.push((frame.id, unsynced));
            }
        }
    }

    /// Answers changes after one sync for all of them.
    fn finish_together(&self, applied: Vec<(u64, Box<Applied>)>) {
        if applied.is_empty() {
            return;
        }
        let (service, sender) = (self.service.clone(), self.sender.clone());
        tokio::spawn(async move {
            let responses = service.finish_all(applied).await;
            drop(sender.send(Finished {
                responses,
                share: None,
            }));
        });
    }

    /// Asks for a share of the budget if a large frame is on its way.
    fn want_share(&mut self) {
        let missing = missing_bytes(&self.input).unwrap_or(0);
        if missing >= LARGE_BYTES && self.input_share.is_none() {
            let budget = self.budget.clone();
            self.share_wait = Some(Box::pin(async move { budget.share(missing).await }));
        }
    }

    /// Answers a frame that can't be read, after which nothing more can be.
    fn refuse(&mut self, error: FrameError) {
        let (id, reason) = match error {
            FrameError::TooLarge { id, .. } => (id, Reason::TooLarge),
            FrameError::Checksum { id, .. } => (id, Reason::Unavailable),
        };
        tracing::debug!(caller = ?self.caller, %error, "closing a connection");
        self.answer(id, &Failure::new(reason, error.to_string()).into());
        self.is_ending = true;
    }
}

fn stalled(how: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the peer takes too long {how}"),
    )
}
