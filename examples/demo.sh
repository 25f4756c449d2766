#!/bin/sh
# The main job on a drawn sample collection: add, cluster, search, dedup, sample, report. Usage: demo.sh DIR
set -eu
dir=${1:-demo}
if [ -e "$dir/index" ] && [ -e "$dir/assignments.csv" ]; then
    echo "$dir/ is here from an earlier run, with whatever you decided in it since. To begin anew: rm -r $dir"
    exit
fi
rm -rf "$dir/index" "$dir/subset"
mkdir -p "$dir"
export MORPHOINDEX_INDEX="$PWD/$dir/index"

step() { printf '\n$ %s\n' "$*"; "$@"; }

step morphoindex demo "$dir/photos"
# Exit code 1: added, and some files were refused; the collection has broken ones on purpose.
step morphoindex add "$dir/photos" --labels "$dir/photos/labels.csv" || [ $? -eq 1 ]
step morphoindex cluster
step morphoindex report
photo=$(morphoindex sample -n 1 --quiet --json | sed -n 's/^ *"path": "\(.*\)",*$/\1/p')
step morphoindex search "${photo#"$PWD/"}" -k 5
step morphoindex dedup > "$dir/duplicates.txt"
head -n 12 "$dir/duplicates.txt"
step morphoindex sample -n 100 --out "$dir/subset" > "$dir/sample.txt"
head -n 8 "$dir/sample.txt"
step morphoindex report assignments --out "$dir/assignments.csv"
step morphoindex check

cat <<END

Done. The results:
  $dir/photos            the collection, one folder a species; planted.json tells what is hidden in it
  $dir/index             the index: vectors, catalog, neighbour graph, journal
  $dir/assignments.csv   every photograph with its cluster and labels
  $dir/duplicates.txt    groups of near-duplicates
  $dir/subset/           100 photographs, the most typical and the most different of each cluster; $dir/sample.txt lists them

Try next (. .venv/bin/activate first):
  export MORPHOINDEX_INDEX=$PWD/$dir/index
  morphoindex cluster --thresholds 0.8:0.95:0.05
  morphoindex clusters name C0001 'a name of yours'
  morphoindex cluster --threshold 0.9 && morphoindex clusters history C0001
  morphoindex search 'YOUR PHOTO.jpg'
  morphoindex sql 'SELECT species, count(*) FROM specimens GROUP BY ALL ORDER BY 2 DESC'
And on your own photographs, in their folder: unset MORPHOINDEX_INDEX; morphoindex add . && morphoindex cluster
END
