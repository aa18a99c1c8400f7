//! Builds the index of a rollout: takes out of each rule's audience what can be looked up.

use std::collections::BTreeMap;

use super::{Answers, CHUNKS, Index, Mask, Question, RULES_INDEXED, Table, cuts, words};
use crate::{
    audience::{AttrMatch, Audience, NumberRange, TagMatch, TextMatch, VersionMatch},
    name::AttrName,
    predicate::{TextField, VersionField},
    version_range::{Dotted, VersionRange},
};
use cuts::{Cut, Cuts, Plain, Span, VersionCuts};

/// Ranges of one question that are indexed; further ones are asked one by one. A stretch between two cuts is 128
/// bytes.
const RANGES: usize = 1_024;

/// A question about words, in the order in which questions are asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Text(TextField),
    Tag,
    Attr(AttrName),
}

/// Who wants and who refuses a word.
#[derive(Default, Clone)]
struct Opinion {
    wanted: Mask,
    refused: Mask,
}

/// What is known of a question about words.
#[derive(Default)]
struct Heard {
    /// Rules that want one of its words.
    asking: Mask,
    exact: BTreeMap<String, Opinion>,
    prefixes: BTreeMap<String, Opinion>,
}

/// Ranges of one question, each with its rule.
type Spans<K> = Vec<(usize, Span<K>)>;

/// An index that is being built, rule by rule.
#[derive(Default)]
pub(crate) struct Builder {
    words: BTreeMap<Source, Heard>,
    versions: BTreeMap<VersionField, Spans<Plain>>,
    dotted: BTreeMap<VersionField, Spans<Dotted>>,
    numbers: BTreeMap<AttrName, Spans<i64>>,
    open: Mask,
    /// How many rules were taken in.
    taken: usize,
}

/// The first `N` chunks: the others are empty.
pub(super) fn narrowed<const N: usize>(mask: &Mask) -> [u64; N] {
    std::array::from_fn(|chunk| mask[chunk])
}

fn bit(mask: &mut Mask, rule: usize) {
    mask[rule / 64] |= 1 << (rule % 64);
}

impl Builder {
    /// Takes in rule number `rule` and returns what of its audience the index does not answer.
    pub(crate) fn take(&mut self, rule: usize, audience: &Audience) -> Audience {
        let mut rest = audience.clone();
        if rule >= RULES_INDEXED {
            return rest;
        }
        self.taken = rule + 1;
        bit(&mut self.open, rule);
        for (field, written) in texts(&mut rest) {
            if let Some(text) = written.take() {
                self.want(Source::Text(field), rule, &text);
            }
        }
        if let Some(tags) = rest.tag.take_if(|tag| sole_tags(tag).is_some()) {
            self.want(Source::Tag, rule, &any_of(&tags));
        }
        if let Some(not) = &rest.not
            && let Some((source, text)) = sole(not)
        {
            self.refuse(source, rule, &text);
            rest.not = None;
        }
        self.take_ranges(rule, &mut rest);
        rest.attr
            .retain(|name, wanted| !self.take_attr(rule, name, wanted));
        rest
    }

    /// A rule that nobody is asked for: paused.
    pub(crate) fn close(&mut self, rule: usize) {
        if rule < RULES_INDEXED {
            self.open[rule / 64] &= !(1 << (rule % 64));
        }
    }

    fn take_ranges(&mut self, rule: usize, rest: &mut Audience) {
        let fields = [
            (VersionField::Host, &mut rest.host_version),
            (VersionField::Os, &mut rest.os_version),
            (VersionField::App, &mut rest.app_version),
        ];
        for (field, written) in fields {
            let taken = match written {
                None => false,
                Some(VersionMatch::Semver(range)) => {
                    put(&mut self.versions, &field, rule, version_span(range))
                }
                Some(VersionMatch::Dotted { dotted }) => put(
                    &mut self.dotted,
                    &field,
                    rule,
                    dotted.span_of(Cut::before, Cut::after),
                ),
            };
            if taken {
                *written = None;
            }
        }
    }

    fn take_attr(&mut self, rule: usize, name: &AttrName, wanted: &AttrMatch) -> bool {
        let range = match wanted {
            AttrMatch::Is(texts) => {
                self.want(
                    Source::Attr(name.clone()),
                    rule,
                    &TextMatch::Is(texts.clone()),
                );
                return true;
            }
            AttrMatch::Prefix { prefix } => {
                let prefix = prefix.clone();
                self.want(
                    Source::Attr(name.clone()),
                    rule,
                    &TextMatch::Prefix { prefix },
                );
                return true;
            }
            AttrMatch::Number(number) => NumberRange {
                min: Some(*number),
                max: Some(*number),
            },
            AttrMatch::Between(range) => *range,
            AttrMatch::During(_) | AttrMatch::Semver { .. } | AttrMatch::Dotted { .. } => {
                return false;
            }
        };
        let span = (range.min.map(Cut::before), range.max.map(Cut::after));
        put(&mut self.numbers, name, rule, span)
    }

    fn want(&mut self, source: Source, rule: usize, text: &TextMatch) {
        let heard = self.words.entry(source).or_default();
        bit(&mut heard.asking, rule);
        heard.note(text, |opinion| bit(&mut opinion.wanted, rule));
    }

    fn refuse(&mut self, source: Source, rule: usize, text: &TextMatch) {
        let heard = self.words.entry(source).or_default();
        heard.note(text, |opinion| bit(&mut opinion.refused, rule));
    }

    /// The index of all rules that were taken in.
    pub(crate) fn finish(self) -> Index {
        if self.taken <= 64 {
            Index::Few(self.table())
        } else {
            Index::Many(self.table())
        }
    }

    fn table<const N: usize>(self) -> Table<N> {
        let mut questions = Vec::new();
        let mut table = Vec::new();
        for (source, heard) in &self.words {
            let exact = (!heard.exact.is_empty()).then_some(table_question(questions.len(), 0));
            let prefix = table_question(questions.len(), 1);
            table.extend(
                (heard.exact.iter())
                    .map(|(text, opinion)| (table_question(questions.len(), 0), text, opinion)),
            );
            table.extend((heard.prefixes.iter()).map(|(text, opinion)| (prefix, text, opinion)));
            let mut lengths: Vec<u32> = heard.prefixes.keys().map(|p| p.len() as u32).collect();
            lengths.sort_unstable();
            lengths.dedup();
            let answers = Answers::Words {
                source: source.clone(),
                exact,
                prefix,
                lengths: lengths.into(),
            };
            questions.push(Question::new(&heard.asking, answers));
        }
        questions.extend(ranges(self.versions, |field, spans| {
            Answers::Version(field, VersionCuts::new(spans))
        }));
        questions.extend(ranges(self.dotted, |field, spans| {
            Answers::Dotted(field, Cuts::new(spans))
        }));
        questions.extend(ranges(self.numbers, |name, spans| {
            Answers::Number(name, Cuts::new(spans))
        }));
        let words = table.iter().map(|(question, text, opinion)| words::Word {
            question: *question,
            text,
            wanted: opinion.wanted,
            refused: opinion.refused,
        });
        Table {
            open: narrowed(&self.open),
            words: words::Words::new(words),
            questions: questions.into(),
        }
    }
}

/// What a question is called in the table of words, for whole words and for prefixes.
const fn table_question(at: usize, prefix: u32) -> u32 {
    2 * at as u32 + prefix
}

fn ranges<F, K, const N: usize>(
    all: BTreeMap<F, Spans<K>>,
    answers: impl Fn(F, &[(usize, Span<K>)]) -> Answers<N>,
) -> impl Iterator<Item = Question<N>> {
    all.into_iter().map(move |(field, spans)| {
        let mut asking = [0; CHUNKS];
        spans.iter().for_each(|(rule, _)| bit(&mut asking, *rule));
        Question::new(&asking, answers(field, &spans))
    })
}

/// Notes a range, unless there are too many already.
fn put<F: Ord + Clone, K>(
    all: &mut BTreeMap<F, Spans<K>>,
    field: &F,
    rule: usize,
    span: Span<K>,
) -> bool {
    let spans = all.entry(field.clone()).or_default();
    let fits = spans.len() < RANGES;
    if fits {
        spans.push((rule, span));
    }
    fits
}

impl Heard {
    fn note(&mut self, text: &TextMatch, note: impl Fn(&mut Opinion)) {
        let (words, table) = match text {
            TextMatch::Is(words) => (words, &mut self.exact),
            TextMatch::Prefix { prefix } => (prefix, &mut self.prefixes),
        };
        for word in words.as_slice() {
            note(table.entry(word.clone()).or_default());
        }
    }
}

type Written<'a> = (TextField, &'a mut Option<TextMatch>);

fn texts(audience: &mut Audience) -> [Written<'_>; 7] {
    [
        (TextField::Platform, &mut audience.platform),
        (TextField::Region, &mut audience.region),
        (TextField::City, &mut audience.city),
        (TextField::Language, &mut audience.language),
        (TextField::Model, &mut audience.model),
        (TextField::Channel, &mut audience.channel),
        (TextField::Unit, &mut audience.unit),
    ]
}

/// The tags of which a device must carry one, where that is what is asked.
fn sole_tags(tags: &TagMatch) -> Option<&[crate::name::Tag]> {
    match tags {
        TagMatch::Any(tags) => Some(tags.as_slice()),
        TagMatch::All { all } => (all.len() == 1).then_some(all),
    }
}

fn any_of(tags: &TagMatch) -> TextMatch {
    let tags = sole_tags(tags).unwrap_or_default();
    let texts = tags.iter().map(|tag| tag.as_str().to_owned());
    TextMatch::Is(crate::audience::OneOrMany::Many(texts.collect()))
}

/// The one thing an audience asks, where it asks one thing and that is a word.
fn sole(audience: &Audience) -> Option<(Source, TextMatch)> {
    let mut rest = audience.clone();
    let text = texts(&mut rest)
        .into_iter()
        .find_map(|(field, written)| Some((Source::Text(field), written.take()?)));
    let found = text.or_else(|| {
        let tags = rest.tag.take_if(|tags| sole_tags(tags).is_some())?;
        Some((Source::Tag, any_of(&tags)))
    })?;
    rest.is_everyone().then_some(found)
}

/// A range of versions as a span of the line.
pub(super) fn version_span(range: &VersionRange) -> Span<Plain> {
    let (from, to) = range.ends();
    let plain = |version: &semver::Version| Plain(version.clone());
    let from = from.map(|from| Cut::before(plain(from)));
    let to = to.map(|(to, included)| match included {
        true => Cut::after(plain(to)),
        false => Cut::before(plain(to)),
    });
    (from, to)
}
