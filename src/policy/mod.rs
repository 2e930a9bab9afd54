//! What is allowed, and the judge. No I/O of its own: what only the outside knows it asks through
//! [`Sources`].
