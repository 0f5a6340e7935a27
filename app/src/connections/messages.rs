//! [`Messages`]: what is read from a socket, request by request: nothing of the next is handed on before the present
//! one is answered. So a head is begun when something comes, though it was read together with the request before; but
//! not after a body that says itself when it ends, of which hyper alone knows where.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::dialogue::Dialogue;

pub(super) struct Messages {
    dialogue: Arc<Dialogue>,
    /// Read, and not handed on.
    ahead: Vec<u8>,
    part: Part,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    /// Of which so many line ends came last.
    Head { begun: bool, ends: u8 },
    /// After a head, and so many requests before it.
    Body { before: u64 },
}

const HEAD: Part = Part::Head { begun: false, ends: 0 };

impl Messages {
    pub(super) fn new(dialogue: Arc<Dialogue>) -> Self {
        Self { dialogue, ahead: Vec::new(), part: HEAD }
    }

    /// How many of the bytes are of the present request.
    fn present(&mut self, bytes: &[u8]) -> usize {
        if let Part::Body { before } = self.part
            && self.dialogue.requests() != before
            && self.dialogue.is_over()
        {
            self.part = HEAD;
        }
        match &mut self.part {
            Part::Head { begun, ends } => {
                for (byte, taken) in bytes.iter().zip(1..) {
                    match byte {
                        // Some end a body with a line end too many.
                        b'\r' | b'\n' if !*begun => {}
                        b'\n' => *ends += 1,
                        b'\r' => {}
                        _ => (*begun, *ends) = (true, 0),
                    }
                    if *ends == 2 {
                        self.part = Part::Body { before: self.dialogue.requests() };
                        return taken;
                    }
                }
                bytes.len()
            }
            // What was a head to us is none to hyper, which knows better.
            Part::Body { before } if self.dialogue.requests() == *before => bytes.len(),
            Part::Body { .. } => self.dialogue.take_body(bytes.len()),
        }
    }
    pub(super) fn poll_read(
        &mut self,
        socket: Pin<&mut impl AsyncRead>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let before = buffer.filled().len();
            ready!(socket.poll_read(context, buffer))?;
            let read = buffer.filled().len() - before;
            let taken = self.present(&buffer.filled()[before..]);
            self.ahead.extend_from_slice(&buffer.filled()[before + taken..]);
            buffer.set_filled(before + taken);
            if taken > 0 || read == 0 {
                return Poll::Ready(Ok(()));
            }
        } else {
            let ahead = std::mem::take(&mut self.ahead);
            let taken = self.present(&ahead[..ahead.len().min(buffer.remaining())]);
            buffer.put_slice(&ahead[..taken]);
            self.ahead = ahead;
            self.ahead.drain(..taken);
            if taken > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        self.dialogue.wake_when_answered(context.waker());
        Poll::Pending
    }
}
