//! What spans several files of the example: the process, and the books.

mod books;
mod process;
