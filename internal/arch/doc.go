// Package arch holds, as a test, who may import whom and which library stands
// behind which door.
//
// It owns the table of docs/design.md in a form that fails: a package that is not
// in the table, an edge that the table does not allow, a library outside its
// door, and a pure package that touches a clock, a network, a file or a database
// are errors. Changing the table needs a line in docs/design.md. There is nothing
// here to import.
package arch
