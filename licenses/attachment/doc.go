// Package attachment checks by their content the files that people send with an
// application: PDF (ISO 32000), JPEG (ITU-T T.81) and PNG (W3C, third edition).
//
// It is pure. It refuses what is none of the three, what is cut off or cannot be
// decoded, files that would take too much memory or time, and PDF files that are encrypted
// or that do something when they are opened. What a picture says besides what is seen
// (where it was taken, with what, a smaller copy of itself) is left out, and so is
// whatever stands behind its end: what is kept is one picture and nothing more.
//
// It is no virus scanner. A PDF's text, fonts and pictures are not looked into, and
// readers have faults: files are for downloading and never drawn into our pages.
package attachment
