module tandem.dev/devcluster/node

go 1.26.0
