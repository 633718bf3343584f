"""What `eletrovia readings` says, and what about: (English, Português)."""

from __future__ import annotations

from typing import Final

READING_WORDS: Final[dict[str, tuple[str, str]]] = {
    "readings.importing": ("Importing", "Importando"),
    "readings.rate": ("{rate} readings/s", "{rate} leituras/s"),
    "readings.file": (
        "{file}: {rows} rows, {form}, {values} in {unit}, times of {zone}: {readings} readings.",
        "{file}: {rows} linhas, {form}, {values} em {unit}, horários de {zone}: {readings} leituras.",
    ),
    "readings.form.long": ("a row for each reading", "uma linha por leitura"),
    "readings.form.wide-day": ("a row for each day", "uma linha por dia"),
    "readings.form.wide-meter": ("a column for each meter", "uma coluna por medidor"),
    "readings.values.differences": ("differences", "diferenças"),
    "readings.values.registers": ("register values", "valores do registrador"),
    "readings.stamp.start": (
        "  A time is the start of its {minutes} minutes; the register stands at their end.",
        "  O horário é o início dos {minutes} minutos; o registrador fica no fim deles.",
    ),
    "readings.stamp.end": (
        "  A time is the end of its {minutes} minutes, and so the register's.",
        "  O horário é o fim dos {minutes} minutos, e assim o do registrador.",
    ),
    "readings.guessed.dates": (
        "  Day or month first? The file does not say; the day was taken (--dates mdy for the other).",
        "  Dia ou mês primeiro? O arquivo não diz; o dia foi adotado (--dates mdy para o outro).",
    ),
    "readings.trouble.width": (
        "  {count} rows with too many or too few columns, left out:",
        "  {count} linhas com colunas de mais ou de menos, deixadas de fora:",
    ),
    "readings.trouble.no_time": (
        "  {count} without a readable time, left out:",
        "  {count} sem horário legível, deixadas de fora:",
    ),
    "readings.trouble.no_meter": (
        "  {count} without a meter's id (letters, digits, - and _, up to 64), left out:",
        "  {count} sem id de medidor (letras, dígitos, - e _, até 64), deixadas de fora:",
    ),
    "readings.trouble.empty": ("  {count} empty values:", "  {count} valores vazios:"),
    "readings.trouble.no_number": (
        "  {count} values that are no numbers, left out:",
        "  {count} valores que não são números, deixados de fora:",
    ),
    "readings.trouble.negative": (
        "  {count} negative values, left out:",
        "  {count} valores negativos, deixados de fora:",
    ),
    "readings.trouble.too_much": (
        "  {count} values that no meter shows, left out:",
        "  {count} valores que nenhum medidor mostra, deixados de fora:",
    ),
    "readings.trouble.repeated": (
        "  {count} rows that stand there twice, taken once:",
        "  {count} linhas repetidas, contadas uma vez:",
    ),
    "readings.trouble.contradicts": (
        "  {count} rows with another value for the same time, left out:",
        "  {count} linhas com outro valor para o mesmo horário, deixadas de fora:",
    ),
    "readings.trouble.out_of_order": (
        "  {count} rows older than the ones before, left out (sort the file by meter and time):",
        "  {count} linhas mais antigas que as anteriores, deixadas de fora (ordene por medidor e hora):",
    ),
    "readings.trouble.skipped_time": (
        "  {count} at times that {zone} skips when clocks go forward. Perhaps the file's clock is never "
        "changed: --zone with an offset, e.g. --zone=-03:00. Differences went into the next register:",
        "  {count} em horários que {zone} pula quando o relógio é adiantado. Talvez o relógio do arquivo "
        "nunca mude: --zone com a diferença, p. ex. --zone=-03:00. Diferenças entraram no registro seguinte:",
    ),
    "readings.line": ("line {line}: {text}", "linha {line}: {text}"),
    "readings.dry_run": ("Nothing was sent.", "Nada foi enviado."),
    "readings.registered": ("{count} meters registered.", "{count} medidores registrados."),
    "readings.done": (
        "{readings} readings in {seconds} s: {rate} a second.",
        "{readings} leituras em {seconds} s: {rate} por segundo.",
    ),
    "readings.unknown_meters": (
        "Some meters are not known here; --register registers them.",
        "Alguns medidores não são conhecidos aqui; --register os registra.",
    ),
    "readings.column.meter": ("Meter", "Medidor"),
    "readings.column.stored": ("Stored", "Gravadas"),
    "readings.column.duplicate": ("There already", "Já havia"),
    "readings.column.conflict": ("In conflict", "Em conflito"),
    "readings.column.refused": ("Refused", "Recusadas"),
    "readings.more_meters": ("… and {count} more", "… e mais {count}"),
    "readings.all_meters": ("All", "Todos"),
}

READING_ERRORS: Final[dict[str, tuple[str, str]]] = {
    "readings.no_such_file": ("There is no file {path}.", "Não existe o arquivo {path}."),
    "readings.empty": ("There are no readings in {path}.", "Não há leituras em {path}."),
    "readings.not_text": ("{path} is not a table in text.", "{path} não é uma tabela em texto."),
    "readings.broken_gzip": (
        "{path} is a damaged gzip file: {reason}.",
        "{path} é um gzip danificado: {reason}.",
    ),
    "readings.no_such_column": (
        "There is no column “{asked}”; there are: {found}.",
        "Não existe a coluna “{asked}”; há: {found}.",
    ),
    "readings.column_unclear": (
        "Which column is the {what}? There are: {found}.",
        "Qual coluna é {what}? Há: {found}.",
    ),
    "readings.unit_unclear": (
        "kWh or Wh? The columns do not say: {found}.",
        "kWh ou Wh? As colunas não dizem: {found}.",
    ),
    "readings.values_unclear": (
        "Differences or register values? The first rows do not say.",
        "Diferenças ou valores do registrador? As primeiras linhas não dizem.",
    ),
    "readings.interval_unclear": (
        "How long is an interval? The first rows do not say.",
        "Qual a duração do intervalo? As primeiras linhas não dizem.",
    ),
    "readings.zone_unknown": ("Nobody knows the time zone “{zone}”.", "Ninguém conhece o fuso “{zone}”."),
    "readings.too_much": (
        "Added up, that is more than any meter shows.",
        "Somado, é mais do que um medidor mostra.",
    ),
    "readings.meter_twice": (
        "Either --meter or --meter-column.",
        "Ou --meter ou --meter-column.",
    ),
    "readings.none_kept": (
        "None of the {refused} readings was taken: {reasons}.",
        "Nenhuma das {refused} leituras foi aceita: {reasons}.",
    ),
}

READING_ADVICE: Final[dict[str, tuple[str, str]]] = {
    "readings.column_unclear": (
        "Name it: --meter-column, --time-column, --value-column, or --meter ID for all of them.",
        "Indique-a: --meter-column, --time-column, --value-column, ou --meter ID para todas.",
    ),
    "readings.no_such_column": ("Write it as it stands in the file.", "Escreva como está no arquivo."),
    "readings.unit_unclear": ("--unit kwh, or --unit wh", "--unit kwh, ou --unit wh"),
    "readings.values_unclear": (
        "--values differences, or --values registers",
        "--values differences, ou --values registers",
    ),
    "readings.interval_unclear": ("For example: --interval 30", "Por exemplo: --interval 30"),
    "readings.zone_unknown": (
        "For example: --zone America/Recife, or --zone=-03:00",
        "Por exemplo: --zone America/Recife, ou --zone=-03:00",
    ),
    "readings.none_kept": (
        "--register registers meters that are not known.",
        "--register registra medidores que não são conhecidos.",
    ),
}
