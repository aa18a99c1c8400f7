//! The verifier against honest servers and against thieves.
//!
//! `world` builds what an honest installation would answer; `honest` shows that it is believed, and what a
//! device then knows; `attacks` holds one thief for every single check, and shows that a verifier without
//! that check would let the thief in; `keyrings` does the same for the chain of keyrings; `bytes` changes
//! every bit; `swaps` mixes honest things of different places and times; `vectors` hands all cases to verifiers in other languages. Nothing here reads a clock.

mod attacks;
mod bytes;
mod honest;
mod keyrings;
mod swaps;
mod vectors;
mod world;
