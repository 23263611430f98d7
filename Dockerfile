# Answerdesk itself: API, worker, migration and user interface are the same image with another command. vLLM is not in it.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
# What the lock names is there already; this adds the PostgreSQL driver.
RUN pip install --no-cache-dir ".[postgres]" \
    && useradd --uid 10001 --create-home answerdesk \
    && mkdir -p /data/home /data/cache && chown -R answerdesk /data

WORKDIR /data
ENV ANSWERDESK_HOME=/data/home ANSWERDESK_CACHE=/data/cache
USER answerdesk
ENTRYPOINT ["answerdesk"]
CMD ["serve"]
