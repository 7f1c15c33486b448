import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic' },
  build: { chunkSizeWarningLimit: 20000 },
  // Grafana's components ask for it as they do in Grafana's own build.
  define: { 'process.env': {} },
});
