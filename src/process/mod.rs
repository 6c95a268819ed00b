//! Work that spans several places: steps that are never taken twice, and what is swept away in time.
