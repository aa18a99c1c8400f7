//! Rollouts at random, for property tests: everything the language can say, within the limits.
