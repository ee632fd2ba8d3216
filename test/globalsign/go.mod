// The EST server that story_globalsign.sh meets, pinned; go.sum holds the checksum of all of it, its own go.sum included.
module tpm2cloud/test/globalsign

go 1.19

require github.com/globalsign/est v1.0.6
