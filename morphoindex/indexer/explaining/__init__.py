"""What an encoder looks at: parts that matter, parts that make two alike, maps of layers, attention.

`occlusion` and `inside` compute, arrays in and out; `geometry` brings maps back onto photographs; `drawing` draws;
`looking` ties them together for one photograph or two.
"""
