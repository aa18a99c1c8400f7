//! `Book`: all numbers a node knows, of all lives of all nodes, minute by minute, and later hour by hour.
//!
//! Two books that heard the same, in whatever order and however often, say the same. What is older than the minutes
//! that may still change is settled: kept as one number an hour, and what is told of it afterwards comes too late. A
//! book also knows what it must still tell: its own life's news to the other nodes, and everybody's to the store.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    counts::{Counts, Register},
    sheet::{Cell, Life, Sheet},
};
use crate::name::AppId;

/// Where a number lies: cell, minute and life, by their numbers in this book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    cell: u32,
    minute: u32,
    life: u32,
}

/// How much a book holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Cells of one app.
    pub cells_of_app: usize,
    /// Places at a time.
    pub places: usize,
}

/// What an app's cell comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// The cell.
    pub cell: Cell,
    /// Its numbers over all lives.
    pub counts: Counts,
}

/// All numbers.
#[derive(Debug)]
pub struct Book {
    bounds: Bounds,
    cells: Vec<Cell>,
    numbers: BTreeMap<Cell, u32>,
    of_app: BTreeMap<AppId, Vec<u32>>,
    lives: Vec<Life>,
    lives_known: BTreeMap<Life, u32>,
    places: BTreeMap<Place, Counts>,
    /// By cell and hour.
    settled: BTreeMap<(u32, u32), Counts>,
    /// Minutes before this are settled.
    open_from: u32,
    /// Not yet told to the other nodes.
    untold: BTreeSet<Place>,
    /// Not yet seen in the store, and since which minute.
    unkept: BTreeMap<Place, u32>,
    /// Numbers that found no room, or came too late.
    lost: u64,
}

impl Book {
    /// An empty one.
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            cells: Vec::new(),
            numbers: BTreeMap::new(),
            of_app: BTreeMap::new(),
            lives: Vec::new(),
            lives_known: BTreeMap::new(),
            places: BTreeMap::new(),
            settled: BTreeMap::new(),
            open_from: 0,
            untold: BTreeSet::new(),
            unkept: BTreeMap::new(),
            lost: 0,
        }
    }

    /// The number of `cell` in this book; none: its app has as many as it may.
    pub fn cell(&mut self, cell: &Cell) -> Option<u32> {
        if let Some(known) = self.numbers.get(cell) {
            return Some(*known);
        }
        let of_app = self.of_app.entry(cell.app.clone()).or_default();
        if of_app.len() >= self.bounds.cells_of_app {
            return None;
        }
        let number = u32::try_from(self.cells.len()).ok()?;
        of_app.push(number);
        self.cells.push(cell.clone());
        self.numbers.insert(cell.clone(), number);
        Some(number)
    }

    /// True when anybody ever counted something of `cell`.
    pub fn has(&self, cell: &Cell) -> bool {
        self.numbers.contains_key(cell)
    }

    fn life(&mut self, life: &Life) -> Option<u32> {
        if let Some(known) = self.lives_known.get(life) {
            return Some(*known);
        }
        let number = u32::try_from(self.lives.len()).ok()?;
        self.lives.push(life.clone());
        self.lives_known.insert(life.clone(), number);
        Some(number)
    }

    fn place(&mut self, life: &Life, cell: u32, minute: u32) -> Option<Place> {
        let place = Place {
            cell,
            minute,
            life: self.life(life)?,
        };
        let has_room = self.places.len() < self.bounds.places;
        let is_open = minute >= self.open_from;
        let fits = is_open && (has_room || self.places.contains_key(&place));
        self.lost += u64::from(!fits);
        fits.then_some(place)
    }

    /// Counts what happened in this life.
    pub fn count(&mut self, own: &Life, cell: u32, minute: u32, register: &Register, times: u64) {
        let minute = minute.max(self.open_from);
        if let Some(place) = self.place(own, cell, minute) {
            self.places.entry(place).or_default().add(register, times);
            self.untold.insert(place);
            self.unkept.entry(place).or_insert(minute);
        }
    }

    /// Takes in what another node told; `at` is the minute it is heard in.
    pub fn hear(&mut self, sheet: &Sheet, at: u32) {
        for (life, cell, minute, counts) in sheet.iter() {
            let Some(place) = self
                .cell(cell)
                .and_then(|cell| self.place(life, cell, minute))
            else {
                continue;
            };
            if self.places.entry(place).or_default().merge(counts) {
                self.unkept.entry(place).or_insert(at);
            }
        }
    }

    /// Takes in what lies in the store: what is there need not be kept again.
    pub fn read(&mut self, sheet: &Sheet) {
        for (life, cell, minute, counts) in sheet.iter() {
            let Some(place) = self
                .cell(cell)
                .and_then(|cell| self.place(life, cell, minute))
            else {
                continue;
            };
            let known = self.places.entry(place).or_default();
            known.merge(counts);
            if known.within(counts) {
                self.unkept.remove(&place);
            }
        }
    }

    /// What the other nodes do not know of this life, taken off the list. Where telling fails, [`Self::not_told`].
    /// At most `most` places.
    pub fn take_untold(&mut self, most: usize) -> (Sheet, BTreeSet<Place>) {
        let rest = match self.untold.iter().nth(most).copied() {
            Some(place) => self.untold.split_off(&place),
            None => BTreeSet::new(),
        };
        let places = std::mem::replace(&mut self.untold, rest);
        (self.sheet(places.iter()), places)
    }

    /// Telling failed: it is told again.
    pub fn not_told(&mut self, places: BTreeSet<Place>) {
        self.untold.extend(places);
    }

    /// The other nodes have forgotten: everything of `own` that may not be in the store is told again.
    pub fn forgotten(&mut self, own: &Life) {
        let own = self.lives_known.get(own).copied();
        let places = self.unkept.keys();
        let ours = places.filter(|place| Some(place.life) == own);
        self.untold.extend(ours.copied());
    }

    /// What the store lacks: of `own` everything, of other lives what was heard before the minute `silent_since` and
    /// nobody has kept, because who counted it may be gone.
    /// At most `most` places.
    pub fn take_unkept(
        &mut self,
        own: &Life,
        silent_since: u32,
        most: usize,
    ) -> (Sheet, BTreeMap<Place, u32>) {
        let own = self.lives_known.get(own).copied();
        let is_due = |place: &Place, since: u32| Some(place.life) == own || since < silent_since;
        let mut due = BTreeMap::new();
        self.unkept.retain(|place, since| {
            let takes = due.len() < most && is_due(place, *since);
            if takes {
                due.insert(*place, *since);
            }
            !takes
        });
        (self.sheet(due.keys()), due)
    }

    /// Keeping failed: it is tried again.
    pub fn not_kept(&mut self, places: BTreeMap<Place, u32>) {
        for (place, since) in places {
            let known = self.unkept.entry(place).or_insert(since);
            *known = since.min(*known);
        }
    }

    /// True when something of `own` is not in the store.
    pub fn lacks(&self, own: &Life) -> bool {
        let own = self.lives_known.get(own).copied();
        self.unkept.keys().any(|place| Some(place.life) == own)
    }

    fn sheet<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Sheet {
        let mut sheet = Sheet::default();
        for place in places {
            // Settled meanwhile: it was kept long ago, or never will be.
            if let Some(counts) = self.places.get(place) {
                let (life, cell) = (
                    &self.lives[place.life as usize],
                    &self.cells[place.cell as usize],
                );
                sheet.put(life, cell, place.minute, counts);
            }
        }
        sheet
    }

    /// Settles all minutes before `minute`, rounded down to the hour, and forgets hours that ended before `forget`.
    pub fn settle(&mut self, minute: u32, forget: u32) {
        let minute = minute - minute % 60;
        if minute > self.open_from {
            self.open_from = minute;
            let settled: Vec<Place> = self
                .places
                .keys()
                .filter(|place| place.minute < minute)
                .copied()
                .collect();
            for place in settled {
                if let Some(counts) = self.places.remove(&place) {
                    let hour = self
                        .settled
                        .entry((place.cell, place.minute / 60))
                        .or_default();
                    hour.sum(&counts);
                }
                self.untold.remove(&place);
                self.unkept.remove(&place);
            }
            // The end of the last hour there is lies beyond the last minute.
            let is_kept = |hour: u32| (u64::from(hour) + 1) * 60 > u64::from(forget);
            self.settled.retain(|(_, hour), _| is_kept(*hour));
        }
    }

    /// What one cell came to from the minute `from` until before `until`; as [`Self::totals`].
    pub fn total(&self, cell: &Cell, from: u32, until: u32) -> Counts {
        let number = self.numbers.get(cell);
        number.map_or_else(Counts::default, |number| self.sum(*number, from, until))
    }

    fn sum(&self, cell: u32, from: u32, until: u32) -> Counts {
        let mut counts = Counts::default();
        let end = |minute| Place {
            cell,
            minute,
            life: 0,
        };
        if until > from {
            let open = self.places.range(end(from)..end(until));
            open.for_each(|(_, numbers)| counts.sum(numbers));
            let hours = (cell, from / 60)..(cell, until.div_ceil(60));
            let settled = self.settled.range(hours);
            settled.for_each(|(_, numbers)| counts.sum(numbers));
        }
        counts
    }

    /// What every cell of `app` came to from the minute `from` until before `until`. Where minutes are settled, whole
    /// hours count that have a part in that.
    pub fn totals(&self, app: &AppId, from: u32, until: u32) -> Vec<Total> {
        let mut totals = Vec::new();
        for cell in self.of_app.get(app).into_iter().flatten() {
            let counts = self.sum(*cell, from, until);
            if !counts.is_empty() {
                let cell = self.cells[*cell as usize].clone();
                totals.push(Total { cell, counts });
            }
        }
        totals.sort_by(|a, b| a.cell.cmp(&b.cell));
        totals
    }

    /// Numbers that found no room here, or came after their minute was settled.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// How many places are held.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.settled.is_empty()
    }
}
