// Package form makes forms of licence types: what the schema of a type asks for,
// drawn as inputs, and what comes back read strictly into a request. Clerks fill
// them in at the desk and holders in their wallet.
package form
