"""Words for the screen: (English, Português)."""

from __future__ import annotations

from typing import Final

from eletrovia.cli.words_alert import ALERT_WORDS
from eletrovia.cli.words_bill import BILL_WORDS
from eletrovia.cli.words_demo import DEMO_WORDS
from eletrovia.cli.words_meter import METER_WORDS
from eletrovia.cli.words_readings import READING_WORDS
from eletrovia.cli.words_usage import USAGE_WORDS

WORDS: Final[dict[str, tuple[str, str]]] = {
    **ALERT_WORDS,
    **DEMO_WORDS,
    **METER_WORDS,
    **USAGE_WORDS,
    **BILL_WORDS,
    "error": ("Error", "Erro"),
    "ask.password": ("Password of {email}: ", "Senha de {email}: "),
    "ask.registration_token": ("Registration token: ", "Token de registro: "),
    # -- the timeline
    "timeline.head": ("{car}, departs {departs}", "{car}, saída {departs}"),
    "timeline.at": ("at", "às"),
    "timeline.for": ("for", "dura"),
    "timeline.battery": ("battery", "bateria"),
    "timeline.price": ("price", "preço"),
    "timeline.drive": ("drive {km} km to {to}", "dirigir {km} km até {to}"),
    "timeline.wait": ("wait at {station}", "esperar em {station}"),
    "timeline.charge": ("charge {kwh} kWh at {station}", "carregar {kwh} kWh em {station}"),
    "timeline.arrive": ("arrive in {place}", "chegar em {place}"),
    "timeline.simulated": ("simulated", "simulada"),
    "timeline.legend.drive": ("drive", "dirigir"),
    "timeline.legend.wait": ("wait", "esperar"),
    "timeline.legend.charge": ("charge", "carregar"),
    "timeline.legend.reserve": ("reserve {reserve}", "reserva {reserve}"),
    "timeline.driving": ("driving", "dirigindo"),
    "timeline.waiting": ("waiting", "esperando"),
    "timeline.charging": ("charging", "carregando"),
    "timeline.arrival": ("arrival", "chegada"),
    # -- gateway
    "gateway.udp": ("Readings over UDP: {host}:{port}", "Leituras por UDP: {host}:{port}"),
    "gateway.tcp": ("Readings over TCP: {host}:{port}", "Leituras por TCP: {host}:{port}"),
    "gateway.http": ("Readings over HTTP: http://{host}:{port}", "Leituras por HTTP: http://{host}:{port}"),
    "gateway.metrics": (
        "Figures for Prometheus: http://{host}:{port}/metrics",
        "Números para o Prometheus: http://{host}:{port}/metrics",
    ),
    # -- trips
    "trip.planning": ("Looking for a way …", "Procurando um caminho …"),
    "trip.booking": ("Asking every operator for its stops …", "Pedindo as paradas a cada operadora …"),
    "trip.only_planned": (
        "Nothing is booked yet: --book does it.",
        "Nada foi reservado ainda: --book reserva.",
    ),
    "trip.broken_off": (
        "The booking may have been heard. The same command with --key {key} tells, and will not book twice.",
        "O pedido pode ter chegado. O mesmo comando com --key {key} diz, e não reserva duas vezes.",
    ),
    "trip.others": ("Other ways", "Outros caminhos"),
    "trip.alternatives": ("Found, but not held", "Encontrados, mas não reservados"),
    "trip.fee": ("Cancellation fee: {fee}", "Taxa de cancelamento: {fee}"),
    "trip.state.pending": (
        "Not known yet. Ask again: eletrovia trips {id}",
        "Ainda não se sabe. Pergunte de novo: eletrovia trips {id}",
    ),
    "trip.state.confirmed": (
        "Confirmed: every stop is booked. {id}",
        "Confirmada: todas as paradas reservadas. {id}",
    ),
    "trip.state.failed": ("Failed: nothing is booked. {id}", "Falhou: nada foi reservado. {id}"),
    "trip.state.cancelled": ("Cancelled. {id}", "Cancelada. {id}"),
    "state.pending": ("pending", "pendente"),
    "state.confirmed": ("confirmed", "confirmada"),
    "state.failed": ("failed", "falhou"),
    "state.cancelled": ("cancelled", "cancelada"),
    "trips.none": ("You have no trips yet.", "Você ainda não tem viagens."),
    "trips.cancel_sure": ("Cancel the trip for a fee of {fee}?", "Cancelar a viagem por uma taxa de {fee}?"),
    # -- columns
    "column.id": ("id", "id"),
    "column.state": ("state", "estado"),
    "column.from": ("from", "de"),
    "column.to": ("to", "para"),
    "column.departs": ("departs", "saída"),
    "column.arrives": ("arrives", "chegada"),
    "column.price": ("price", "preço"),
    "column.stops": ("stops", "paradas"),
    "column.operators": ("operators", "operadoras"),
    "column.operator": ("operator", "operadora"),
    "column.charging": ("charging", "recarga"),
    "column.battery": ("battery", "bateria"),
    "column.place": ("place", "lugar"),
    "column.point": ("latitude,longitude", "latitude,longitude"),
    "column.name": ("name", "nome"),
    "column.battery_kwh": ("kWh", "kWh"),
    "column.range_km": ("km", "km"),
    "column.dc_kw": ("DC kW", "CC kW"),
    "column.ac_kw": ("AC kW", "CA kW"),
    "column.station": ("station", "estação"),
    "column.plugs": ("plugs", "tomadas"),
    "column.free": ("free", "livres"),
    "column.evse": ("EVSE", "EVSE"),
    "column.status": ("now", "agora"),
    "column.count": ("count", "quantos"),
    "column.skipped": ("skipped because", "ignorados porque"),
    "column.examples": ("for example", "por exemplo"),
    "column.since": ("since", "desde"),
    "column.key": ("setting", "configuração"),
    "column.value": ("value", "valor"),
    "column.origin": ("from", "origem"),
    # -- stations
    "stations.none": ("No stations there.", "Nenhuma estação aí."),
    "stations.more": (
        "There may be more: --limit above {limit}.",
        "Pode haver mais: --limit acima de {limit}.",
    ),
    "stations.importing": ("Importing", "Importando"),
    "stations.kept": (
        "{kept} of {read} stations kept for {operator} ({evses} EVSEs, {format}).",
        "{kept} de {read} estações guardadas para {operator} ({evses} EVSEs, {format}).",
    ),
    "stations.would_keep": (
        "{kept} of {read} stations could be kept for {operator} ({evses} EVSEs, {format}); nothing was sent.",
        "{kept} de {read} estações serviriam para {operator} ({evses} EVSEs, {format}); nada foi enviado.",
    ),
    "stations.unpriced": (
        "{evses} EVSEs have no tariff, so nobody can book them: --tariff ID gives them one.",
        "{evses} EVSEs não têm tarifa, então ninguém pode reservá-las: --tariff ID dá uma a elas.",
    ),
    "stations.part_only": (" (only that part)", " (só essa parte)"),
    "stations.refused_by_server": (" (refused by the server)", " (recusado pelo servidor)"),
    "tariff.ENERGY": ("{price} per kWh", "{price} por kWh"),
    "tariff.TIME": ("{price} per hour", "{price} por hora"),
    "tariff.FLAT": ("{price} per session", "{price} por sessão"),
    # -- tariffs of homes
    "column.distributor": ("distributor", "distribuidora"),
    "column.kind": ("kind", "tipo"),
    "column.when": ("when", "quando"),
    "column.before_taxes": ("{currency}/kWh", "{currency}/kWh"),
    "column.with_taxes": ("with taxes", "com tributos"),
    "tariffs.flat": ("one price", "preço único"),
    "tariffs.tiers": ("by usage", "por faixa de consumo"),
    "tariffs.windows": ("by the hour", "por horário"),
    "tariffs.all_day": ("All day", "O dia todo"),
    "tariffs.fictional": ("(invented)", "(inventada)"),
    "tariffs.working_day": ("a working day", "dia útil"),
    "tariffs.day_off": ("no working day", "não é dia útil"),
    "tariffs.taxes": ("Taxes inside, at {use} kWh: {taxes}", "Tributos embutidos, com {use} kWh: {taxes}"),
    "tariffs.minimum": (
        "Minimum by phases (1 · 2 · 3): {kwh} kWh",
        "Mínimo por fases (1 · 2 · 3): {kwh} kWh",
    ),
    "tariffs.discount": ("{share} off{up_to}", "{share} de desconto{up_to}"),
    "tariffs.sources": ("Sources: {sources}", "Fontes: {sources}"),
    "tariffs.right": (
        "{file} is right. With the ones carried along: {tariffs} tariffs, {places} municipalities.",
        "{file} está certo. Com as que vêm junto: {tariffs} tarifas, {places} municípios.",
    ),
    # -- operators
    "operators.up": ("answers", "responde"),
    "operators.down": ("silent", "em silêncio"),
    "operators.untried": ("not tried", "não testada"),
    "operators.ourselves": ("this one", "esta"),
    "operators.invited": (
        "Good for {hours} h, once. Hand this to the other operator's staff:",
        "Vale por {hours} h, uma vez. Entregue isto à equipe da outra operadora:",
    ),
    "operators.joined": ("Partners now: {operator_id} {name}", "Parceiras agora: {operator_id} {name}"),
    "operators.revoke_sure": (
        "End the partnership with {operator_id}?",
        "Encerrar a parceria com {operator_id}?",
    ),
    "operators.revoked": (
        "{operator_id} gets nothing here any more.",
        "{operator_id} não recebe mais nada aqui.",
    ),
    # -- settings, roads
    "config.default": ("default", "padrão"),
    "config.file": ("file", "arquivo"),
    "config.env": ("variable", "variável"),
    "config.flag": ("flag", "opção"),
    "config.written": (
        "Written to {file}; take the # off what you change.",
        "Escrito em {file}; tire o # do que mudar.",
    ),
    "roads.building": ("Cutting out the roads …", "Recortando as estradas …"),
    "roads.built": (
        "{file}: {nodes} points, {roads} roads, {kb} kB. Use it with --set planning.roads_file={file}",
        "{file}: {nodes} pontos, {roads} estradas, {kb} kB. Use com --set planning.roads_file={file}",
    ),
    # -- the doctor
    "doctor.checking": ("Looking at this machine …", "Examinando esta máquina …"),
    "doctor.fit": ("This machine is fit.", "Esta máquina está apta."),
    "doctor.unfit": ("This machine is not fit yet.", "Esta máquina ainda não está apta."),
    "doctor.outcome.ok": ("ok", "ok"),
    "doctor.outcome.warn": ("warn", "aviso"),
    "doctor.outcome.fail": ("FAIL", "FALHA"),
    "doctor.check.python": ("Python", "Python"),
    "doctor.check.user": ("user", "usuário"),
    "doctor.check.data_dir": ("data folder", "pasta de dados"),
    "doctor.check.disk": ("free disk", "disco livre"),
    "doctor.check.memory": ("free memory", "memória livre"),
    "doctor.check.files": ("open files", "arquivos abertos"),
    "doctor.check.zone": ("time zones", "fusos horários"),
    "doctor.check.postgresql": ("PostgreSQL", "PostgreSQL"),
    "doctor.check.nats": ("NATS", "NATS"),
    "doctor.check.store_url": ("store.url", "store.url"),
    "doctor.check.bus_url": ("bus.url", "bus.url"),
    "doctor.check.ports": ("ports", "portas"),
    "doctor.python_old": ("Install Python 3.11 or newer.", "Instale o Python 3.11 ou mais novo."),
    "doctor.user_root": (
        "It works: the databases then run as a user of their own. An ordinary user is safer.",
        "Funciona: os bancos de dados rodam como um usuário próprio. Um usuário comum é mais seguro.",
    ),
    "doctor.data_dir_unwritable": (
        "Make {dir} yours, or choose another folder with --data.",
        "Torne {dir} sua ou escolha outra pasta com --data.",
    ),
    "doctor.data_dir_open": (
        "Others may write there: chmod go-w {dir}",
        "Outros podem escrever ali: chmod go-w {dir}",
    ),
    "doctor.disk_full": (
        "Free some space; {need} MB are enough for a demo.",
        "Libere espaço; {need} MB bastam para uma demo.",
    ),
    "doctor.memory_low": (
        "A demo of three operators wants {need} MB; close something.",
        "Uma demo com três operadoras quer {need} MB; feche algo.",
    ),
    "doctor.files_few": (
        "Many connections need more: ulimit -n {need}, or LimitNOFILE={need} in systemd.",
        "Muitas conexões precisam de mais: ulimit -n {need}, ou LimitNOFILE={need} no systemd.",
    ),
    "doctor.zone_missing": (
        "Install the system's zone data (apt install tzdata) or the Python package tzdata.",
        "Instale os dados de fuso do sistema (apt install tzdata) ou o pacote Python tzdata.",
    ),
    "doctor.binary_broken": ("Install again: make clean setup", "Instale de novo: make clean setup"),
    "doctor.store_url_down": (
        "Is it running, and are user, password and database right? psql tells more.",
        "Está ativo, e usuário, senha e banco estão certos? O psql diz mais.",
    ),
    "doctor.store_old": ("PostgreSQL 14 or newer is needed.", "É preciso PostgreSQL 14 ou mais novo."),
    "doctor.bus_url_down": (
        "Is it running with JetStream and MQTT, and is the password right?",
        "Está ativo com JetStream e MQTT, e a senha está certa?",
    ),
    "doctor.ports_taken": (
        "Taken: {taken}. Is a city running already? Else choose others with --set KEY=PORT.",
        "Ocupadas: {taken}. Já há uma cidade ativa? Senão escolha outras com --set CHAVE=PORTA.",
    ),
    # -- simulated meters
    "meter.menu": (
        "Register {kwh} kWh, rate {rate}\n  1 increase  2 decrease  3 set the rate  4 leave",
        "Registrador {kwh} kWh, taxa {rate}\n  1 aumentar  2 diminuir  3 definir a taxa  4 sair",
    ),
    "meter.by": ("By how many {unit}?", "Em quantos {unit}?"),
    "meter.to": ("How many {unit}?", "Quantos {unit}?"),
    "meter.no_number": (
        "{told!r} is no rate: it takes a number, not below 0.",
        "{told!r} não é uma taxa: use um número, não negativo.",
    ),
    "meter.no_choice": ("{choice!r} is not on the menu.", "{choice!r} não está no menu."),
    "meter.alert": ("Alert: {alert}", "Alerta: {alert}"),
    "meter.cut_off": (
        "Cut off by the utility: nothing flows.",
        "Cortado pela distribuidora: nada passa.",
    ),
    "meter.connected": ("Connected again.", "Religado."),
    "meter.no_answer": (
        "No answer ({reason}); trying again …",
        "Sem resposta ({reason}); tentando de novo …",
    ),
    "meter.done": (
        "Meter {id}: {told} readings told, register {kwh} kWh.",
        "Medidor {id}: {told} leituras enviadas, registrador {kwh} kWh.",
    ),
    "simulate.registering": (
        "Registering {count} devices at {url} …",
        "Registrando {count} aparelhos em {url} …",
    ),
    "simulate.round": (
        "{until}: {told} readings told, {each_s}/s, {refused} refused, {cut_off} meters cut off",
        "{until}: {told} leituras enviadas, {each_s}/s, {refused} recusadas, {cut_off} medidores cortados",
    ),
    "simulate.done": (
        "{told} readings told until {until}, {each_s}/s, {refused} refused.",
        "{told} leituras enviadas até {until}, {each_s}/s, {refused} recusadas.",
    ),
    **READING_WORDS,
}
