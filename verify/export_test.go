package verify

// Sentences lets the tests hold the reasons against the vectors.
var Sentences = sentences
