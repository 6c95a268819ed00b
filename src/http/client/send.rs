//! A call with its retries.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};

use super::{
    Answer, GaveUp, Last, RetryingClient,
    attempt::{Call, Failure, attempt},
    budget::{ANSWERED, RETRY, RETRY_OF_TIMEOUT},
    pauses::retry_after,
    telemetry,
    verdict::Verdict,
};
use crate::store::CallLease;

/// How a call has ended that has no answer.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) attempts: u32,
    pub(super) why: GaveUp,
    pub(super) last: Last,
    /// The server may have seen it, now or before.
    pub(super) may_have_happened: bool,
    /// It was not tried again because of the server's certificate.
    pub(super) is_untrusted: bool,
    /// It could not even be made into a request.
    pub(super) is_unbuildable: bool,
}

/// Sends one call until it has an answer that counts, or is given up.
pub(super) struct Sending<'c> {
    client: &'c RetryingClient,
    call: &'c Call,
    lease: Option<&'c CallLease>,
    ends: Instant,
    /// All attempts.
    attempts: u32,
    /// The ones that count: not those that were told that the first one is still at work.
    counted: u32,
    may_have_happened: bool,
    /// What the last retry has cost.
    cost: u32,
}

/// What an attempt leaves to be decided.
struct Unsettled {
    last: Last,
    verdict: Verdict,
    asked: Option<Duration>,
}

impl<'c> Sending<'c> {
    pub(super) fn new(client: &'c RetryingClient, call: &'c Call, lease: Option<(&'c CallLease, bool)>) -> Self {
        let may_have_happened = lease.is_some_and(|(_, is_again)| is_again);
        let ends = Instant::now() + client.settings().deadline;
        let lease = lease.map(|(lease, _)| lease);
        Self { client, call, lease, ends, attempts: 0, counted: 0, may_have_happened, cost: 0 }
    }

    pub(super) async fn run(mut self) -> Result<Answer, Ended> {
        loop {
            let unsettled = match self.attempt().await {
                Ok(answer) => return Ok(answer),
                Err(unsettled) => unsettled?,
            };
            let pause = match self.pause(&unsettled) {
                Ok(pause) => pause,
                Err(why) => return Err(self.end(why, unsettled.last)),
            };
            telemetry::retry(self.attempts, pause, &unsettled.last);
            let next = Instant::now() + pause;
            // For the pause as well, so that it stays in the same hands; and then right before sending, for a machine may
            // have slept longer than it meant to.
            self.hold(pause).await?;
            sleep_until(next).await;
            self.hold(Duration::ZERO).await?;
        }
    }

    /// Makes one attempt: an answer that counts, or what is to be decided, or an end.
    async fn attempt(&mut self) -> Result<Answer, Result<Unsettled, Ended>> {
        let settings = self.client.settings();
        let within = settings.attempt_timeout.min(self.ends.saturating_duration_since(Instant::now()));
        self.attempts += 1;
        self.counted += 1;
        let tried = attempt(self.client.http(), self.call, (within, settings.answer_bytes)).await;
        let failure = match tried {
            Ok(reply) => return self.judge(Answer::new(reply, self.attempts)),
            Err(failure) => failure,
        };
        self.may_have_happened |= failure.may_have_arrived();
        let may_pass = failure.may_pass();
        let (is_untrusted, is_unbuildable) =
            (matches!(failure, Failure::Untrusted(_)), matches!(failure, Failure::Unbuildable(_)));
        let last = match failure {
            Failure::NotConnected(error)
            | Failure::Untrusted(error)
            | Failure::Unbuildable(error)
            | Failure::Hopeless(error)
            | Failure::Broken(error) => Last::Failed(error),
            Failure::TimedOut => Last::TimedOut,
            Failure::TooLarge(status) => Last::TooLarge { status, most: settings.answer_bytes },
        };
        if may_pass {
            return Err(Ok(Unsettled { last, verdict: Verdict::Retry, asked: None }));
        }
        Err(Err(Ended { is_untrusted, is_unbuildable, ..self.end(GaveUp::Hopeless, last) }))
    }

    fn judge(&mut self, answer: Answer) -> Result<Answer, Result<Unsettled, Ended>> {
        // Without a key it is a read, which can be made again.
        let is_in_doubt = self.may_have_happened && self.lease.is_some();
        let of = if is_in_doubt { Verdict::in_doubt } else { Verdict::of };
        let verdict = of(answer.status, &answer.headers);
        self.may_have_happened = true;
        if verdict == Verdict::Silent {
            return Err(Err(self.end(GaveUp::Hopeless, Last::Answer(Box::new(answer)))));
        }
        if verdict == Verdict::Final {
            self.client.settings().budget.pay_back(self.cost.max(ANSWERED));
            return Ok(answer);
        }
        if verdict == Verdict::InFlight {
            self.counted -= 1;
        }
        let asked = self.asked(&answer.headers);
        Err(Ok(Unsettled { last: Last::Answer(Box::new(answer)), verdict, asked }))
    }

    fn asked(&self, headers: &HeaderMap) -> Option<Duration> {
        retry_after(headers, self.client.settings().clock.now())
    }

    /// Decides whether there is another attempt, and when. What others still carry out costs nothing: it is asked about.
    fn pause(&mut self, unsettled: &Unsettled) -> Result<Duration, GaveUp> {
        let settings = self.client.settings();
        if self.counted >= settings.attempts {
            return Err(GaveUp::Attempts);
        }
        let pause = settings.pauses.after(self.attempts, unsettled.asked);
        if Instant::now() + pause >= self.ends {
            return Err(GaveUp::Deadline);
        }
        self.cost = match (unsettled.verdict, &unsettled.last) {
            (Verdict::InFlight, _) => 0,
            (_, Last::TimedOut) => RETRY_OF_TIMEOUT,
            _ => RETRY,
        };
        if settings.budget.take(self.cost) { Ok(pause) } else { Err(GaveUp::Budget) }
    }

    /// Makes sure that nobody else sends the call, for a pause and the attempt behind it.
    async fn hold(&self, pause: Duration) -> Result<(), Ended> {
        let Some(lease) = self.lease else { return Ok(()) };
        let length = self.client.settings().lease(pause);
        match self.client.keys().renew_call(lease, length).await {
            Ok(true) => Ok(()),
            // Whoever has it now may have sent it.
            Ok(false) => Err(Ended { may_have_happened: true, ..self.end(GaveUp::TakenOver, Last::None) }),
            Err(error) => Err(self.end(GaveUp::Keys, Last::Keys(error))),
        }
    }

    const fn end(&self, why: GaveUp, last: Last) -> Ended {
        let (attempts, may_have_happened) = (self.attempts, self.may_have_happened);
        Ended { attempts, why, last, may_have_happened, is_untrusted: false, is_unbuildable: false }
    }
}
