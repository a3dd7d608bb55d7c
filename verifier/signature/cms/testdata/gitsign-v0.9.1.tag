object 6ee714f4f7ef18fe446bd8c513e97db4945b1325
type commit
tag v0.9.1
tagger Billy Lynch <billy@chainguard.dev> 1712078528 -0400

v0.9.1
