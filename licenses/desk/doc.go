// Package desk is the licence desk of an agency: the pages at /desk where one clerk
// applies for a licence, a second one approves it, and both look licences up,
// suspend, resume and revoke them.
//
// It owns applications. One is submitted, then approved or rejected by another
// clerk of the same agency, or by two, one after the other, where the type of the
// licence asks for that; what is approved becomes a licence at once:
//
//	submitted ─► reviewed ─► approved ─► issued
//	    │ ▲          │ │         └─────► failed   (the register says no after all)
//	    │ └──────────┘ │    (sent back)
//	    ├──────────────┴───► rejected
//	    └─ ─ ─ ─ ─ ─ ─ ─ ──► approved             (where one review is enough)
//
// Who submitted it and the two who review it are three people. The rule is the one of
// the type's newest version when the decision is taken, read in its transaction; an
// application that is in its second review stays there, whatever the type comes to say.
// A form decides the step that it has shown and no other one.
//
// Every step is a compare-and-swap in one transaction with its event, so that of two
// clerks one wins. A crash after the approval leaves the row in approved, and Run
// completes it: the register's idempotency key is the application's id.
//
// Nobody decides about their own: neither who submitted an application, nor who will
// hold the licence, nor who acts for the firm that will, or has since the application
// was submitted. The last two are looked up in the transaction that decides. What is
// done to a licence that exists follows the same rule, in the register (licenses).
//
// Before that a form may be a draft: kept as it was typed, for its author alone, until
// it is submitted under its key, thrown away, or not touched for thirty days. The
// transaction that writes the application removes the draft. What is typed into a
// draft is no step of an application: drafts leave no events.
//
// At /desk/foundings clerks decide on applications for new firms, which are the
// register's own (licenses): nobody on one by which they become the firm's legal
// representative.
//
// Forms are made from the JSON Schema of the licence type. What a form holds is
// sealed; numbers of people and firms stand in no address, log or event. It refuses
// to show that another agency's application or licence exists.
package desk
