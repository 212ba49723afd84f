//! The outgoing half of an agent's stream: messages from the driver, cut into frames only when the connection has room for
//! them. A queue of messages shares its bytes with all other queues; frames do not.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use engine::ToAgent;
use proto::agents::to_agent_frames;
use proto::v1::CoordinatorFrame;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use crate::links::Verdict;

/// Frames for one agent. Ends when the driver lets go of the link: with the verdict if there is one, in order if not.
pub struct Outbox {
    /// The rest of the message being sent; the welcome at first.
    frames: VecDeque<CoordinatorFrame>,
    queue: mpsc::Receiver<ToAgent>,
    verdict: Verdict,
    ended: bool,
}

impl Outbox {
    pub fn new(welcome: CoordinatorFrame, queue: mpsc::Receiver<ToAgent>, verdict: Verdict) -> Self {
        Self {
            frames: VecDeque::from([welcome]),
            queue,
            verdict,
            ended: false,
        }
    }
}

impl Stream for Outbox {
    type Item = Result<CoordinatorFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(status) = self.verdict.get() {
            let status = status.clone();
            self.ended = true;
            return Poll::Ready(Some(Err(status)));
        }
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match self.queue.poll_recv(context) {
                Poll::Ready(Some(message)) => self.frames.extend(to_agent_frames(message)),
                Poll::Ready(None) => {
                    self.ended = true;
                    return Poll::Ready(self.verdict.get().cloned().map(Err));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::SlotId;
    use tokio_stream::StreamExt;

    fn grant() -> ToAgent {
        ToAgent::UploadGrant {
            at: SlotId { epoch: 1, slot: 1 },
        }
    }

    #[tokio::test]
    async fn what_was_queued_is_sent_before_an_orderly_end() {
        let (sender, queue) = mpsc::channel(4);
        let mut outbox = Outbox::new(CoordinatorFrame::default(), queue, Verdict::default());
        sender.try_send(grant()).unwrap();
        drop(sender);
        assert!(outbox.next().await.unwrap().is_ok());
        assert!(outbox.next().await.unwrap().is_ok());
        assert!(outbox.next().await.is_none());
    }

    #[tokio::test]
    async fn a_verdict_ends_the_stream_at_once() {
        let (sender, queue) = mpsc::channel(4);
        let verdict = Verdict::default();
        let mut outbox = Outbox::new(CoordinatorFrame::default(), queue, verdict.clone());
        sender.try_send(grant()).unwrap();
        verdict.set(Status::resource_exhausted("too slow")).unwrap();
        assert_eq!(
            outbox.next().await.unwrap().unwrap_err().code(),
            tonic::Code::ResourceExhausted
        );
        assert!(outbox.next().await.is_none());
    }
}
