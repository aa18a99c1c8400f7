//! Placeholder of the attack suite.
