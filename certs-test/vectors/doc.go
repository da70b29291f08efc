// Vectors runs every vector of docs/spec/vectors, and mutants of them and of a small
// city's own files, through three implementations, and fails unless they agree:
//
//   - go: the packages licenses/permit, licenses/status, verify/trust and verify;
//   - cli: `signet verify --json`, as a process;
//   - page: the page's own files in headless Chromium.
//
// A case is one question with one answer. Three kinds of question reach all three:
// what a file with a permit in it is worth, what a permit is worth under a bundle in
// a file, and what it is worth under a snapshot in a file. The rest, which no command
// line can ask, are held between go and page alone: the text of a permit byte by byte,
// what a permit, snapshot, root statement, bundle or head that was read says, what a
// delta makes of a snapshot, and with which outcome each was refused. Where a vector says what is expected, both must say
// that too.
//
// Mutants are made from the name of what they mutate, the same at each run. Some are
// signed again after the change, so that they reach the checks behind the signature.
//
// The last line is "vectors: N agree=N across=go,cli,page mutants=N".
package main
