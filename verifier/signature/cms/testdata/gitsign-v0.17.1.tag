object 44f5e17fac6944fdde71c94d2e77ab075c9dca9f
type commit
tag v0.17.1
tagger Billy Lynch <billy@chainguard.dev> 1785358811 -0400

v0.17.1
