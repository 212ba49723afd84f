//! Whether a filter still holds, without asking for it: a generation that rises with every change, and the span of time in which
//! no consent begins or ends by itself. Reading it takes no lock.

use super::register::Register;
use engine::participant::Stamp;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Of one population. Written only by whoever holds the registers' lock.
#[derive(Default)]
pub struct Pulse {
    generation: AtomicU64,
    /// The generation holds from here ..
    since_ms: AtomicU64,
    /// .. until here. Both 0: not looked at yet.
    next_ms: AtomicU64,
}

impl Pulse {
    /// Something changed.
    pub fn beat(&self, now_ms: u64, register: &Register) {
        // Nobody may see the new generation with an old span, so the span closes first.
        self.next_ms.store(0, SeqCst);
        self.generation.fetch_add(1, SeqCst);
        self.since_ms.store(now_ms, SeqCst);
        self.next_ms.store(register.next_instant(now_ms), SeqCst);
    }

    /// The generation of now: another one if the clock left the span, forwards or back.
    pub fn refresh(&self, now_ms: u64, register: &Register) -> u64 {
        if self.is_overdue(now_ms) {
            self.beat(now_ms, register);
        }
        self.generation.load(SeqCst)
    }

    pub fn is_overdue(&self, now_ms: u64) -> bool {
        now_ms < self.since_ms.load(SeqCst) || now_ms >= self.next_ms.load(SeqCst)
    }

    pub fn stamp(&self, now_ms: u64) -> Stamp {
        // The generation first: a change in between makes the span old, never the generation young.
        let generation = self.generation.load(SeqCst);
        Stamp {
            generation,
            overdue: self.is_overdue(now_ms),
        }
    }
}
