//! Nothing to link: the cases in `cases/` are played by the test target `cases`.
