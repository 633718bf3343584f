#!/usr/bin/env bash
# Fills a fresh city of compose.yaml with the demo's simulated stations and prices, and makes its three operators
# partners. Everything goes through each operator's own staff, as it would with real ones.
set -euo pipefail
IN=${IN:-docker compose exec -T}   # how a command gets into an operator's container

# Works wherever Python put the package.
where='import pathlib, eletrovia; print(pathlib.Path(eletrovia.__file__).parent / "charging/demo_stations")'
for one in car man ser; do
  stations=$($IN "$one" python -c "$where")/BR-${one^^}.geojson
  $IN "$one" eletrovia stations price dc-fast --kwh 2.05 --session 1.50 --vat 12
  $IN "$one" eletrovia stations price dc --kwh 1.82 --vat 12
  $IN "$one" eletrovia stations price ac --kwh 1.45 --vat 12
  $IN "$one" eletrovia stations import "$stations"
done

partners() {   # the first invites, the second joins
  token=$($IN "$1" eletrovia operators invite --for "BR*${2^^}" | tail -n 1 | tr -d '\r')
  $IN "$2" eletrovia operators join "http://$1:8001" --token "$token"
}
partners car man
partners car ser
partners man ser
$IN car eletrovia operators
