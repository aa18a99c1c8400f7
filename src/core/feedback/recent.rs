//! `Recent`: the ids seen within a window, exactly, in bounded memory.
//!
//! Two generations of open addressing over 64-bit fingerprints. A generation is begun when the one before is a window
//! old, and the one before that is forgotten: whatever was seen is known for at least one window and less than three. It
//! never forgets earlier to make room: when a generation is full, what is new is refused and not taken unseen. An id
//! is taken for another only if their fingerprints agree, which of `n` remembered random ids has a chance of `n / 2^64`.

/// What became of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was not known, and is now.
    New,
    /// It was seen within the window.
    Before,
    /// It was not known, and there is no room to remember it.
    NoRoom,
}

/// The ids of one window.
#[derive(Debug, Default)]
pub struct Recent {
    now: Generation,
    before: Generation,
    /// When the present generation began, in milliseconds.
    began: u64,
    window_ms: u64,
    most: usize,
}

#[derive(Debug, Default)]
struct Generation {
    /// A power of two of places, at most half of them taken; 0: free.
    places: Vec<u64>,
    taken: usize,
}

impl Recent {
    /// Remembers for at least `window_ms`, at most `most` ids within that.
    pub const fn new(window_ms: u64, most: usize) -> Self {
        let empty = Generation {
            places: Vec::new(),
            taken: 0,
        };
        Self {
            now: empty,
            before: Generation {
                places: Vec::new(),
                taken: 0,
            },
            began: 0,
            window_ms,
            most,
        }
    }

    /// Remembers `id` at `now_ms`.
    pub fn see(&mut self, id: u64, now_ms: u64) -> Seen {
        self.turn(now_ms);
        // 0 marks a free place.
        let id = id.max(1);
        if self.before.has(id) {
            return Seen::Before;
        }
        if self.now.taken >= self.most {
            return if self.now.has(id) {
                Seen::Before
            } else {
                Seen::NoRoom
            };
        }
        if self.now.insert(id) {
            Seen::New
        } else {
            Seen::Before
        }
    }

    /// How many are remembered.
    pub const fn len(&self) -> usize {
        self.now.taken + self.before.taken
    }

    /// True when none is.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A clock that goes backwards never ends a generation early.
    fn turn(&mut self, now_ms: u64) {
        let age = now_ms.saturating_sub(self.began);
        if age < self.window_ms {
            return;
        }
        let ended = std::mem::take(&mut self.now);
        // After two windows of silence neither is within one.
        self.before = if age < self.window_ms.saturating_mul(2) {
            ended
        } else {
            Generation::default()
        };
        self.began = now_ms;
    }
}

impl Generation {
    fn has(&self, id: u64) -> bool {
        !self.places.is_empty() && self.places[self.place(id)] == id
    }

    /// True when it was not there.
    fn insert(&mut self, id: u64) -> bool {
        if (self.taken + 1) * 2 > self.places.len() {
            let larger = vec![0; (self.places.len() * 2).max(64)];
            for id in std::mem::replace(&mut self.places, larger) {
                if id != 0 {
                    let at = self.place(id);
                    self.places[at] = id;
                }
            }
        }
        let at = self.place(id);
        let is_new = self.places[at] != id;
        self.places[at] = id;
        self.taken += usize::from(is_new);
        is_new
    }

    /// Where `id` is, or would be. Half of the places are free, so this ends.
    fn place(&self, id: u64) -> usize {
        let mask = self.places.len() - 1;
        // The low bits choose among tables elsewhere.
        let mut at = (id >> 8) as usize & mask;
        while self.places[at] != 0 && self.places[at] != id {
            at = (at + 1) & mask;
        }
        at
    }
}
