//! (to be written by the shield)
