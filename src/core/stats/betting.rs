//! Betting against harmlessness: exact evidence from rare events, with no blind spot at zero.
//!
//! A unit is drawn into the new version with the share `π` among both cohorts, by hash. Let `Z = 1/π` for an event in the new
//! version, `−1/(1−π)` for one in the control, 0 without event: its mean is exactly the difference of the two event
//! rates, whatever they are and however they move over time, because the draw knows nothing of the unit. Whoever bets
//! a part `λ ≥ 0` of the money on every unit,
//!
//! ```text
//! wealth(λ) = Π (1 + λ(Z − δ)) = (1 + λ/π − λδ)^new · (1 − λ/(1−π) − λδ)^control · (1 − λδ)^neither
//! ```
//!
//! cannot expect to win while the difference is at most `δ`: the wealth is a supermartingale, and by Ville's inequality ever
//! reaches `1/α` with a probability of at most `α`, over all looks, with any counts. No approximation is in this.
//!
//! With nothing tolerated (`δ = 0`) units without event drop out and `θ = π + λ` makes it `(θ/π)^new ((1−θ)/(1−π))^control`:
//! the likelihood that an event is the new version's with `θ` instead of `π`, given how many events there are. So it is the
//! mixture of binomials conditional on the total number of events; zero failures in the control make the bet no
//! worse. An outage that hits both cohorts adds events to both in the ratio of the draw, and moves nothing.
//! If both cohorts are of fixed size instead of drawn, the mean of the factors is smaller still (arithmetic and geometric
//! mean), and of fixed total too (Hoeffding 1963): the promise holds.
//!
//! Money is laid on `λ = λ_max · 2^(−j/2)`, `j = 0 … 24`, fixed shares of it, so that for each true effect some bet is within
//! a fifth of the best; the sum is wealth again. A fixed grid is a prior of its own and needs no accuracy of an integral.
//!
//! Sources: J. Ville, 1939; I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B,
//! 2024; R. Turner, A. Ly, P. Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
//! stopping", 2024; W. Hoeffding, "Probability inequalities for sums of bounded random variables", 1963.

/// Bets, each √2 smaller than the one before: from all that can be laid to 1/4 096 of it.
const BETS: usize = 25;

/// What happened in two cohorts: the evidence is that `first` has more events than `second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Events in the first cohort.
    pub first: u64,
    /// Events in the second.
    pub second: u64,
    /// Units of both without event.
    pub neither: u64,
}

/// One bet: its share of the money, and what an outcome multiplies it by, all as logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bet {
    laid: f64,
    first: f64,
    second: f64,
    neither: f64,
}

/// The bets for one share of the first cohort and one tolerated difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Bets([Bet; BETS]);

impl Bets {
    /// Bets that the first cohort, which has the `share` of units (0 < share < 1), has an event rate more than
    /// `tolerated` (−1 < tolerated < 1) above the second's. Nothing outside those: the bets would be lost for sure.
    pub fn new(share: f64, tolerated: f64) -> Option<Self> {
        let is_share = share > 0.0 && share < 1.0;
        if !is_share || tolerated.is_nan() || tolerated.abs() >= 1.0 {
            return None;
        }
        // What a lost bet costs is at most everything.
        let most = 1.0 / (1.0 / (1.0 - share) + tolerated);
        let mut left = 0.0;
        let mut bets = [Bet {
            laid: 0.0,
            first: 0.0,
            second: 0.0,
            neither: 0.0,
        }; BETS];
        for (nth, bet) in bets.iter_mut().enumerate() {
            let nth = nth as f64;
            let part = most * libm::exp2(-nth / 2.0);
            // Large effects get more: of them one wants to know soon.
            let laid = 1.0 / ((nth + 2.0) * (nth + 2.0));
            left += laid;
            *bet = Bet {
                laid: libm::log(laid),
                first: libm::log1p(part * (1.0 / share - tolerated)),
                second: ln_or_nothing(1.0 - part * (1.0 / (1.0 - share) + tolerated)),
                neither: libm::log1p(-part * tolerated),
            };
        }
        let all = libm::log(left);
        bets.iter_mut().for_each(|bet| bet.laid -= all);
        Some(Self(bets))
    }

    /// `ln` of what a unit of money has become.
    pub fn ln_wealth(&self, tally: &Tally) -> f64 {
        let [first, second, neither] = [tally.first, tally.second, tally.neither].map(|n| n as f64);
        let mut logs = [0.0; BETS];
        let mut best = f64::NEG_INFINITY;
        for (log, bet) in logs.iter_mut().zip(&self.0) {
            // Nothing happened no times: also where its logarithm is −∞.
            let lost = if second > 0.0 {
                second * bet.second
            } else {
                0.0
            };
            *log = bet.laid + first * bet.first + lost + neither * bet.neither;
            best = best.max(*log);
        }
        // A bet that is e⁴⁰ times poorer than the richest is not seen in the sum.
        let seen = logs.iter().filter(|log| best - **log < 40.0);
        let wealth = best + libm::log(seen.map(|log| libm::exp(log - best)).sum());
        // The smallest bet never loses everything, so this is finite; the bound is for its largest counts.
        wealth.clamp(f64::MIN, f64::MAX)
    }
}

/// The logarithm, `−∞` of nothing and of what rounding took below it.
fn ln_or_nothing(value: f64) -> f64 {
    if value > 1e-12 {
        libm::log(value)
    } else {
        f64::NEG_INFINITY
    }
}
